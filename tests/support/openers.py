"""Processes that open the same new ledger at the same moment.

`python -m support.openers URL WINDOW COUNT` forks them from a process that has started nothing, not from the tests' own
with its servers and threads. It is no child of the tests' fork server either, which has one list of warm imports
(`support.processes`).
"""

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

TESTS = str(Path(__file__).parents[1])


def open_at_once(url: str, until: str, count: int) -> list[int | None]:
    """Open a ledger from many processes, and begin the same turn of `flights` in each.

    Args:
        url: The ledger's database.
        until: End of the turn's window, in ISO form.
        count: The number of processes.

    Returns:
        The processes' exit codes; None for one that hangs.
    """
    paths = os.pathsep.join([TESTS, *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "support.openers", url, until, str(count)]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": paths}, stdout=subprocess.PIPE, timeout=120, check=True
    )
    codes: list[int | None] = json.loads(done.stdout)
    return codes


def main() -> None:
    import alembic.command  # noqa: F401 - imported once, before the processes are forked

    from everfit.tasks.core.records import Trigger, Window
    from everfit.tasks.ledger import Ledger

    url, until, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    forked = multiprocessing.get_context("fork")
    gate = forked.Barrier(count)

    def open_and_begin() -> None:
        gate.wait(60)
        Ledger.open(url).turns.begin("flights", Trigger(), Window(until=until))

    processes = [forked.Process(target=open_and_begin) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    print(json.dumps([process.exitcode for process in processes]))


if __name__ == "__main__":
    main()
