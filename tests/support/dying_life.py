"""A life of a rehearsal whose worker is killed in its midst."""

import os
import signal

from everfit.tasks.rehearsal.life import Life
from everfit.tasks.rehearsal.living import LifeJob


def live_after_a_kill(job: LifeJob) -> Life:
    """Kill the process at the first try, and live at the second; each leaves a line."""
    with (job.folder / "tries").open("a") as tries:
        tries.write("try\n")
    if (job.folder / "tries").read_text().count("try") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return Life(windows=(), first=None)
