"""A line now and then while a step says nothing itself, so that nobody takes a long step for a dead one."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context

QUIET = 5.0
"""Seconds of silence between two lines while a step is young."""
_OFTEN = 12
"""So many lines, a minute's, come at this pace. Each further silence may be twice as long, up to the longest."""
_LONGEST = 60.0

_last_line = [0.0]


def note_line() -> None:
    """Note that a step has written a line of its own."""
    _last_line[0] = time.monotonic()


@contextmanager
def reporting(say: Callable[[str], None], quiet: float = QUIET) -> Iterator[None]:
    """Say now and then how long the body has run, while it is silent.

    Args:
        say: Writes a line.
        quiet: Seconds of silence before the first line.
    """
    over, began, context = threading.Event(), time.monotonic(), copy_context()

    def watch() -> None:
        pause, lines = quiet, 0
        while not over.wait(pause):
            if time.monotonic() - _last_line[0] < quiet:
                continue
            context.run(say, f"still running, {time.monotonic() - began:.0f} s so far")
            lines += 1
            pause = quiet if lines < _OFTEN else min(2 * pause, _LONGEST)

    watcher = threading.Thread(target=watch, name="everfit-still-running", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
