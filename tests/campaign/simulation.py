"""A simulated world in which a seed decides what happens next: which process goes on, dies, stalls or gets an error.

The processes run everfit's own code on a real SQLite ledger, as coroutines of one thread. Each read or write of the
ledger or the registry is a place at which another process may go on, this one may die (before or after the effect), or
the other side may not answer. Sleeping costs no time, clocks of hosts are set, and processes stall.
"""

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from greenlet import getcurrent, greenlet
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, TEMPORARILY_UNAVAILABLE
from sqlalchemy import Connection

from everfit.blocks.errors import LedgerError
from everfit.tasks.ledger import Ledger, holder_watch, leases, turn_lease, turns
from everfit.tasks.ledger.process_identity import Holder
from everfit.tasks.ledger.store import CutConnectionError, Store

START = datetime(2024, 1, 1, tzinfo=UTC)
_MOST_STEPS = 20_000
_RATES = {
    "failed operations": 0.01,
    "lost answers": 0.01,
    "kills": 0.008,
    "stalls": 0.006,
    "stalled requests": 0.02,
    "set clocks": 0.002,
}
"""How often something goes wrong, for each step of a process."""


class KilledError(BaseException):
    """The process is dead: nothing that it still does has an effect."""


class Process:
    """A simulated process.

    Attributes:
        name: What it runs, for people.
        host: The machine, whose clock it reads.
        dead: Whether it was killed or has ended.
        frozen_until: Time until which it stalls.
    """

    def __init__(self, number: int, name: str, host: int) -> None:
        self.number, self.name, self.host = number, name, host
        self.dead = False
        self.frozen_until = 0.0


class _Task:
    """A thread of a process."""

    def __init__(self, process: Process, run: Callable[[], object], scheduler: greenlet) -> None:
        self.process, self.wake_at = process, 0.0
        self.coroutine = greenlet(run, scheduler)


class World:
    """All processes, the registry, the clocks and what may go wrong.

    Args:
        seed: Decides on everything.
        ledger: SQLite file of the ledger.

    Attributes:
        faults: Whether anything goes wrong.
    """

    def __init__(self, seed: int, ledger: "SimulatedStore") -> None:
        self.chance, self.faults = random.Random(seed), True
        # Of each kind none, some or many: where all kinds happen at once, each hides the others.
        self._rates = {name: rate * self.chance.choice([0, 1, 1, 6]) for name, rate in _RATES.items()}
        self.clock, self.offsets = 0.0, [0.0, 0.0]
        self.processes: list[Process] = []
        self.counts: dict[str, int] = {}
        self.problems: list[str] = []
        self.registry = Registry(self)
        self.restart: Callable[[Process], object] = lambda _: None
        self._tasks: list[_Task] = []
        self._current: _Task | None = None
        self._scheduler = getcurrent()
        ledger.world = self
        self.ledger = Ledger(ledger)

    # --- What processes do --------------------------------------------------------------------------------------------

    @property
    def task(self) -> _Task | None:
        """Return the thread that runs now; None outside of the simulated processes."""
        return self._current

    @property
    def process(self) -> Process:
        """Return the process that runs now."""
        assert self._current is not None
        return self._current.process

    def spawn(self, name: str, run: Callable[[], object]) -> Process:
        """Start a process on one of the hosts."""
        process = Process(len(self.processes) + 1, name, self.chance.randrange(len(self.offsets)))
        self.processes.append(process)

        def main() -> None:
            try:
                run()
            finally:
                process.dead = True

        self._start(process, main)
        return process

    def start_thread(self, run: Callable[[], object]) -> _Task:
        """Start a thread of the process that runs now."""
        return self._start(self.process, run)

    def _start(self, process: Process, run: Callable[[], object]) -> _Task:
        def main() -> None:
            try:
                run()
            except KilledError:
                pass
            except Exception as error:  # noqa: BLE001 - any error that a command does not expect is a finding
                self.problems.append(f"{process.name} raised {type(error).__name__}: {error}")

        task = _Task(process, main, self._scheduler)
        self._tasks.append(task)
        return task

    def sleep(self, seconds: float) -> None:
        """Let time pass for this task."""
        if self._current is None:
            return
        self._current.wake_at = self.clock + seconds
        self._pause()

    def _pause(self) -> None:
        if self.process.dead:
            raise KilledError
        self._scheduler.switch()
        if self.process.dead:
            raise KilledError

    def before(self, fail: Callable[[], Exception]) -> None:
        """Pass the place before a read or write, at which the other side may not answer."""
        if self._current is None:
            return
        self._pause()
        if self._happens("failed operations"):
            raise fail()

    def after(self, fail: Callable[[], Exception] | None = None) -> None:
        """Pass the place after a read or write, at which its answer may get lost."""
        if self._current is None:
            return
        self._pause()
        if fail is not None and self._happens("lost answers"):
            raise fail()

    def stall_in_a_write(self) -> None:
        """Let the process stall when a request was sent and has not arrived, as in a suspended machine."""
        if self._current is not None and self._happens("stalled requests"):
            self.process.frozen_until = self.clock + self.chance.choice([5, 61, 200])
            self._pause()

    def wall_clock(self) -> datetime:
        """Return the time by the clock of this process's host."""
        host = 0 if self._current is None else self._current.process.host
        return START + timedelta(seconds=self.clock + self.offsets[host])

    # --- What happens to them -----------------------------------------------------------------------------------------

    def run(self) -> None:
        """Let things happen until all processes have ended."""
        for _ in range(_MOST_STEPS):
            if not self._tasks:
                return
            ready = [task for task in self._tasks if max(task.wake_at, task.process.frozen_until) <= self.clock]
            if not ready:
                self.clock = min(max(task.wake_at, task.process.frozen_until) for task in self._tasks)
                continue
            task = self.chance.choice(ready)
            self._disturb(task.process)
            if task.process.frozen_until <= self.clock:
                self._go_on(task)
            self.clock += self.chance.random() * 0.05
        self.problems.append(
            f"after {_MOST_STEPS} steps these have not ended: {[one.process.name for one in self._tasks]}"
        )

    def _disturb(self, process: Process) -> None:
        if not process.dead and self._happens("kills"):
            self._kill(process)
        if self._happens("stalls"):
            process.frozen_until = self.clock + self.chance.choice([5, 59, 61, 200])
        if self._happens("set clocks"):
            jump = self.chance.choice([-86_400, -3_600, -70, 70, 3_600, 86_400])
            self.offsets[self.chance.randrange(len(self.offsets))] += jump

    def _happens(self, name: str) -> bool:
        happens = self.faults and self.chance.random() < self._rates[name]
        if happens:
            self.counts[name] = self.counts.get(name, 0) + 1
        return happens

    def _kill(self, process: Process) -> None:
        process.dead = True
        for task in [one for one in self._tasks if one.process is process]:
            task.wake_at = process.frozen_until = 0.0
            self._go_on(task)
        self.restart(process)

    def _go_on(self, task: _Task) -> None:
        self._current = task
        task.coroutine.switch()
        self._current = None
        if task.coroutine.dead and task in self._tasks:
            self._tasks.remove(task)


class Registry:
    """A registry in memory that answers as MLflow's client does, or not at all."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.versions: dict[int, Any] = {}
        self.aliases: dict[str, int] = {}

    def add(self, version: int) -> None:
        """Register a version."""
        facts = {"tags": {}, "creation_timestamp": 0, "name": "model", "run_id": f"run-{version}", "description": ""}
        self.versions[version] = SimpleNamespace(version=str(version), **facts)

    def get_model_version(self, _model: str, version: str) -> Any:
        """As MLflow's client."""
        with self._call():
            return self._known(self.versions.get(int(version)))

    def get_model_version_by_alias(self, _model: str, alias: str) -> Any:
        """As MLflow's client."""
        with self._call():
            return self._known(self.versions.get(self.aliases.get(alias, 0)))

    def search_model_versions(self, _query: str, page_token: str | None = None) -> Any:
        """As MLflow's client."""
        with self._call():
            return _Page(self.versions.values())

    def update_model_version(self, _model: str, version: str, description: str) -> None:
        """As MLflow's client."""
        with self._call():
            self._known(self.versions.get(int(version))).description = description

    def set_registered_model_alias(self, _model: str, alias: str, version: str) -> None:
        """As MLflow's client."""
        with self._call():
            self._known(self.versions.get(int(version)))
            self.aliases[alias] = int(version)

    def delete_registered_model_alias(self, _model: str, alias: str) -> None:
        """As MLflow's client."""
        with self._call():
            self.aliases.pop(alias, None)

    @contextmanager
    def _call(self) -> Iterator[None]:
        def lost() -> Exception:
            return MlflowException("the registry does not answer", error_code=TEMPORARILY_UNAVAILABLE)

        self.world.before(lost)
        self.world.stall_in_a_write()
        yield
        self.world.after(lost)

    @staticmethod
    def _known(found: Any) -> Any:
        if found is None:
            raise MlflowException("there is none", error_code=RESOURCE_DOES_NOT_EXIST)
        return found


class _Page(list[Any]):
    token = None


class SimulatedStore(Store):
    """The ledger's database with a place before and after each transaction."""

    world: World

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """As the ledger's."""
        self.world.before(self._failed)
        with super().read() as connection:
            yield connection
        self.world.after()

    @contextmanager
    def write(self, model: str) -> Iterator[Connection]:
        """As the ledger's."""
        self.world.before(self._failed)
        with super().write(model) as connection:
            yield connection
        self.world.after(lambda: CutConnectionError("the connection was cut after the commit"))

    def now(self, connection: Connection) -> datetime:
        """Return the time by the clock of the writing process's host, as with SQLite."""
        return self.world.wall_clock()

    @staticmethod
    def _failed() -> Exception:
        return LedgerError("the ledger did not answer")


class _Event:
    """An event of `threading` in the simulated world."""

    def __init__(self, world: World) -> None:
        self._world, self._set = world, False
        self._waiting: _Task | None = None

    def set(self) -> None:
        self._set = True
        if self._waiting is not None:
            self._waiting.wake_at = 0.0

    def wait(self, seconds: float) -> bool:
        self._waiting = self._world.task
        self._world.sleep(seconds)
        self._waiting = None
        return self._set


class _Thread:
    """A thread of `threading` in the simulated world."""

    def __init__(self, world: World, target: Callable[[], object]) -> None:
        self._world, self._target = world, target
        self._task: _Task | None = None

    def start(self) -> None:
        self._task = self._world.start_thread(self._target)

    def join(self) -> None:
        while self._task is not None and not self._task.coroutine.dead:
            self._world.sleep(0.1)


@contextmanager
def simulated(current: Callable[[], World]) -> Iterator[None]:
    """Replace clocks, threads and process numbers in the ledger's code by those of the current world."""

    def this_process(name: str | None = None) -> Holder:
        process = current().process
        who = name or process.name
        return Holder(name=who, host=f"host-{process.host}", pid=process.number, process_started="once")

    def is_here(host: str) -> bool:
        return host == f"host-{current().process.host}"

    def is_dead(host: str, pid: int, _started: str) -> bool:
        return is_here(host) and current().processes[pid - 1].dead

    def clock() -> float:
        return current().clock

    def sleep(seconds: float) -> None:
        current().sleep(seconds)

    def uniform(low: float, high: float) -> float:
        return current().chance.uniform(low, high)

    threads = SimpleNamespace(Event=lambda: _Event(current()), Thread=lambda target, **_: _Thread(current(), target))
    dice = SimpleNamespace(uniform=uniform)
    replaced: list[tuple[Any, str, Any]] = [
        (leases, "threading", threads),
        (leases, "time", SimpleNamespace(monotonic=clock, sleep=sleep)),
        (leases, "random", dice),
        (leases, "boot_seconds", clock),
        (leases, "this_process", this_process),
        (turns, "this_process", this_process),
        (turn_lease, "monotonic", clock),
        (turn_lease, "sleep", sleep),
        (holder_watch, "boot_seconds", clock),
        (holder_watch, "is_dead", is_dead),
        (holder_watch, "is_here", is_here),
    ]
    with ExitStack() as stack:
        for place, name, value in replaced:
            stack.enter_context(mock.patch.object(place, name, value))
        yield


def fresh_copy(template: Path, target: Path) -> Path:
    """Copy an empty ledger over the one of the last schedule."""
    for beside in target.parent.glob(f"{target.name}-*"):
        beside.unlink()
    shutil.copyfile(template, target)
    return target
