"""Clocks, threads and process numbers of the simulated world in place of the real ones."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest import mock

from campaign.simulation import Task, World
from everfit.tasks.ledger import holder_watch, leases, turn_lease, turns
from everfit.tasks.ledger.process_identity import Holder


class _Event:
    """An event of `threading` in the simulated world."""

    def __init__(self, world: World) -> None:
        self._world, self._set = world, False
        self._waiting: Task | None = None

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
        self._task: Task | None = None

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
