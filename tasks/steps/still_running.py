"""A line now and then while a step says nothing itself, so that nobody takes a long step for a dead one."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context

QUIET = 4.5
"""Seconds of silence between two lines while a step is young."""
_OFTEN = 13
"""The number of first lines, which fill a minute at this pace. Each further silence may be twice as long, up to the
longest."""
_LONGEST = 60.0

_last_line = [0.0]
_inner, _outer = [0], [0]
"""How many bodies report now: parts, and whole commands around them."""
_speaking = threading.RLock()
_LOOK_AGAIN = 0.2
"""Seconds after which a command looks again whether the part that runs in it still reports itself."""


def note_line() -> None:
    """Note that a step has written a line of its own."""
    _last_line[0] = time.monotonic()


@contextmanager
def reporting(say: Callable[[str], None], quiet: float = QUIET, *, outermost: bool = False) -> Iterator[None]:
    """Say now and then how long the body has run, while it is silent.

    Args:
        say: Writes a line.
        quiet: Seconds of silence before the first line.
        outermost: Whether the body is a whole command, which leaves the word to each part of it that reports too.
            The silence before such a part counts for the part.
    """
    over, began, context = threading.Event(), time.monotonic(), copy_context()

    def watch() -> None:
        pause, lines = quiet, 0
        wait = pause - (began - _last_line[0] if _outer[0] else 0.0)
        while not over.wait(wait):
            with _speaking:  # of two that waited, the second one finds that something was said
                now = time.monotonic()
                wait = pause - (now - (_last_line[0] if _outer[0] else max(began, _last_line[0])))
                if wait > 0:
                    continue
                if outermost and _inner[0]:
                    wait = _LOOK_AGAIN
                    continue
                context.run(say, f"still running, {now - began:.0f} s so far")
                note_line()
            lines += 1
            wait = pause = quiet if lines < _OFTEN else min(2 * pause, _LONGEST)

    watcher = threading.Thread(target=watch, name="everfit-still-running", daemon=True)
    mine = _outer if outermost else _inner
    with _speaking:
        mine[0] += 1
        if outermost:
            note_line()
    watcher.start()
    try:
        yield
    finally:
        with _speaking:
            mine[0] -= 1
        over.set()
        watcher.join()
