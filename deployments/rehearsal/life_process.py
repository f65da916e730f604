"""Live through history by one spec, with the flows that run in production: `python -m …life_process FOLDER`.

The environment leads to a workspace, a ledger, a tracking store and a Prefect server of the folder's own. A process
that was killed goes on at the window where it was.
"""

import ctypes
import fcntl
import json
import logging
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment

REASON = "the first model of a rehearsal"


def main(folder: Path) -> None:
    """Live through the windows of a folder's job, and write what became of them.

    Args:
        folder: The folder of the policy, as `sandbox.prepare_folder` and `steps.rehearsal` make it.
    """
    if sys.platform == "linux":
        # It ends with the rehearsal, even if that is killed. Of SIGTERM Prefect makes an exception, and life goes on.
        ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))
    lock = (folder / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)  # one that an ended rehearsal has left on a worker may still be about to stop
    if (folder / "life.json").exists():
        return
    job = json.loads((folder / "job.json").read_text())
    ends = [datetime.fromisoformat(end) for end in job["ends"]]
    environment.prepare(Settings())
    wait_for_server = environment.start_temporary_server()
    from everfit.tasks.core.spec_loading import load_spec
    from everfit.tasks.rehearsal.life import LifeReader
    from everfit.tasks.turns.context import Context

    spec = str(folder / "spec.yaml")
    context = Context(load_spec(spec), Settings())
    wait_for_server()
    logging.getLogger("everfit").setLevel(logging.INFO)
    life = WindowsLived(folder)
    for place, (since, until) in enumerate(pairwise(ends)):
        if place not in life.places:
            live_window(spec, context, since, until, life)
            life.note(place)
        if not (folder / "first.json").exists() and context.ledger.releases.current(context.spec.name) is not None:
            found = LifeReader(context, ends, ends[-1])
            first = found.first_release()
            _write(folder / "first.json", json.dumps(first))
    life.guard(lambda: _collect(spec, datetime.fromisoformat(job["until"])))
    reader = LifeReader(context, ends, datetime.fromisoformat(job["until"]))
    if job["keep_rows"]:
        reader.keep_rows(folder / "rows")
    _write(folder / "life.json", reader.read(life.seconds, life.notes).model_dump_json())


def live_window(spec: str, context: Any, since: datetime, until: datetime, life: "WindowsLived") -> None:
    """Live through a window: train a first model if there is none, predict, and monitor.

    Args:
        spec: The spec file.
        context: Its context.
        since: Start of the window.
        until: End of the window.
        life: Takes note of what fails, and of what waits for a person.
    """
    from everfit.deployments.cli.runs import result_of
    from everfit.flows.monitoring_flow import monitoring
    from everfit.flows.scoring_flow import scoring
    from everfit.flows.training_flow import training
    from everfit.tasks.core.records import Trigger

    name = context.spec.name
    if context.ledger.releases.current(name) is None:
        life.guard(lambda: result_of(training(spec, since, Trigger(reason=REASON), return_state=True)), since)
        _approve(context, life)
    if context.ledger.releases.current(name) is None:
        return
    life.guard(lambda: result_of(scoring(spec, since, until, return_state=True)), until)
    life.guard(lambda: result_of(monitoring(spec, until, return_state=True)), until)
    _approve(context, life)


def _approve(context: Any, life: "WindowsLived") -> None:
    """Approve what waits for a person, such as a challenger with a feature that is called like the target."""
    from everfit.tasks.release.approvals import decide_approval
    from everfit.tasks.turns.turn_record import AWAITING_APPROVAL

    for turn in context.ledger.turns.of(context.spec.name):
        if turn.state != AWAITING_APPROVAL:
            continue
        until, why = turn.window.until, "in a rehearsal, each request is approved"
        by_code = partial(decide_approval, by="rehearsal", reason=why, now=datetime.now(UTC))
        if life.guard(partial(by_code, context, turn.id, "approve"), until):
            life.notes.append(f"{until:%Y-%m-%d}: the challenger waited for a person, which counts as approved at once")


def _collect(spec: str, until: datetime) -> None:
    from everfit.deployments.cli.runs import result_of
    from everfit.flows.labeling_flow import labeling

    result_of(labeling(spec, until, return_state=True))


class WindowsLived:
    """The windows that were lived through, in a file that survives the process."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "progress.jsonl"
        self._began = _processor_seconds()
        self.places: set[int] = set()
        self.notes: list[str] = []
        self._earlier = 0.0
        for line in self._path.read_text().splitlines() if self._path.exists() else []:
            try:
                entry = json.loads(line)
            except ValueError:  # the process was killed as it wrote
                continue
            self.places.add(entry["place"])
            self.notes = entry["notes"]
            self._earlier = entry["seconds"]

    @property
    def seconds(self) -> float:
        """Processor time, also of the processes before this one."""
        return round(self._earlier + _processor_seconds() - self._began, 3)

    def note(self, place: int) -> None:
        """Remember a window."""
        self.places.add(place)
        with self._path.open("a") as file:
            file.write(json.dumps({"place": place, "seconds": self.seconds, "notes": self.notes}) + "\n")

    def guard(self, flow: Callable[[], object], at: datetime | None = None) -> bool:
        """Run a flow, and return whether it ended well. A failure is noted, and life goes on as in production."""
        try:
            flow()
        except Exception as error:  # noqa: BLE001 - a flow may fail in any way
            traceback.print_exc()
            day = "" if at is None else f"{at:%Y-%m-%d}: "
            self.notes.append(f"{day}{' '.join(str(error).split())[:300] or type(error).__name__}")
            return False
        return True


def _processor_seconds() -> float:
    """Return that of this process, and of those that have ended in which candidates of the user's own are fitted."""
    both = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def _write(path: Path, text: str) -> None:
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def console(arguments: Sequence[str]) -> None:
    """Run the process, which ends without freeing its memory object by object."""
    main(Path(arguments[0]))


if __name__ == "__main__":
    console(sys.argv[1:])
