"""Processes that open the same new ledger at the same moment."""

import multiprocessing
from multiprocessing.synchronize import Barrier

from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger import Ledger

# Forked from a process that has started nothing, and not from the tests' own with its servers and threads.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["everfit.tasks.ledger", "alembic.command"])


def open_at_once(url: str, window: Window, count: int) -> list[int | None]:
    """Open a ledger from many processes, and begin the same turn of `flights` in each.

    Returns:
        The processes' exit codes; None for one that hangs.
    """
    gate = _processes.Barrier(count)
    processes = [_processes.Process(target=_open_and_begin, args=(url, window, gate)) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    return [process.exitcode for process in processes]


def _open_and_begin(url: str, window: Window, gate: Barrier) -> None:
    gate.wait(60)
    Ledger.open(url).turns.begin("flights", Trigger(), window)
