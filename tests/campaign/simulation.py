"""A simulated world in which a seed decides what happens next: which process goes on, dies, stalls or gets an error.

The processes run everfit's own code on a real SQLite ledger, as coroutines of one thread. Each read or write of the
ledger or the registry is a place at which another process may go on, this one may die (before or after the effect), or
the other side may not answer. Sleeping costs no time, clocks of hosts are set, and processes stall.
"""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from greenlet import getcurrent, greenlet

from campaign.simulated_ledger import SimulatedStore
from campaign.simulated_registry import Registry
from everfit.tasks.ledger import Ledger

START = datetime(2024, 1, 1, tzinfo=UTC)
_MOST_STEPS = 20_000
_LONGEST_STALL = 130.0
"""Seconds; a lease is taken over after 60 without a heartbeat."""
_RATES = {
    "failed operations": 0.01,
    "lost answers": 0.01,
    "kills": 0.008,
    "stalls": 0.006,
    "takeovers": 0.003,
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
        waits_for_takeover: Whether it goes on soon after another process has taken over a lease of it.
    """

    def __init__(self, number: int, name: str, host: int) -> None:
        self.number, self.name, self.host = number, name, host
        self.dead = self.waits_for_takeover = False
        self.frozen_until = 0.0


class Task:
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

    def __init__(self, seed: int, ledger: SimulatedStore) -> None:
        self.chance, self.faults = random.Random(seed), True
        # Of each kind none, some or many: where all kinds happen at once, each hides the others.
        self._rates = {name: rate * self.chance.choice([0, 1, 1, 6]) for name, rate in _RATES.items()}
        self.clock, self.offsets = 0.0, [0.0, 0.0]
        self.processes: list[Process] = []
        self.counts: dict[str, int] = {}
        self.problems: list[str] = []
        self.registry = Registry(self)
        self.restart: Callable[[Process], object] = lambda _: None
        self._tasks: list[Task] = []
        self._current: Task | None = None
        self._scheduler = getcurrent()
        ledger.begin(self)
        self.ledger = Ledger(ledger)

    # --- What processes do --------------------------------------------------------------------------------------------

    @property
    def task(self) -> Task | None:
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

    def start_thread(self, run: Callable[[], object]) -> Task:
        """Start a thread of the process that runs now."""
        return self._start(self.process, run)

    def _start(self, process: Process, run: Callable[[], object]) -> Task:
        def main() -> None:
            try:
                run()
            except KilledError:
                pass
            except Exception as error:  # noqa: BLE001 - any error that a command does not expect is a finding
                self.problems.append(f"{process.name} raised {type(error).__name__}: {error}")

        task = Task(process, main, self._scheduler)
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
        if self.happens("failed operations"):
            raise fail()

    def after(self, fail: Callable[[], Exception] | None = None) -> None:
        """Pass the place after a read or write, at which its answer may get lost."""
        if self._current is None:
            return
        self._pause()
        if fail is not None and self.happens("lost answers"):
            raise fail()

    def stall_in_a_write(self) -> None:
        """Let the process stall when a request was sent and has not arrived, as in a suspended machine."""
        if self._current is not None and self.happens("stalled requests"):
            self._stall(self.process)
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
        if not process.dead and self.happens("kills"):
            self._kill(process)
        if self.happens("stalls"):
            process.frozen_until = self.clock + self.chance.choice([5, 59, 61, 200])
        if self.happens("takeovers"):
            self._stall_until_taken_over(process)
        if self.happens("set clocks"):
            jump = self.chance.choice([-86_400, -3_600, -70, 70, 3_600, 86_400])
            self.offsets[self.chance.randrange(len(self.offsets))] += jump

    def _stall(self, process: Process) -> None:
        """Let a process stall for a while, or until another has taken over its lease."""
        if self.chance.random() < 0.5:
            self._stall_until_taken_over(process)
        else:
            process.frozen_until = self.clock + self.chance.choice([5, 61, 200])

    def _stall_until_taken_over(self, process: Process) -> None:
        process.frozen_until, process.waits_for_takeover = self.clock + _LONGEST_STALL, True

    def take_over_from(self, number: int) -> None:
        """Let the process of that number, which has lost a lease, go on at the worst of times."""
        process = self.processes[number - 1]
        if process.waits_for_takeover:
            process.waits_for_takeover = False
            process.frozen_until = self.clock + self.chance.choice([0, 0.05, 0.2, 0.5, 1, 3, 30, 100])

    def happens(self, name: str) -> bool:
        """Decide whether something goes wrong now, and count it."""
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

    def _go_on(self, task: Task) -> None:
        self._current = task
        task.coroutine.switch()
        self._current = None
        if task.coroutine.dead and task in self._tasks:
            self._tasks.remove(task)
