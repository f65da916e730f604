"""A word now and then while a step says nothing itself, so that nobody takes a long step for a dead one.

A terminal shows it as one line that is brought up to date each second, for as long as the silence lasts. A log gets
lines: every few seconds in the first minute, and then rarely, so that it can still be read.
"""

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
_LONGEST = 30.0
_UPDATED = 1.0
"""Seconds between two updates of a terminal's line."""

_last_line = [0.0]
_inner, _outer = [0], [0]
"""How many bodies report now: parts, and whole commands around them."""
_speaking = threading.RLock()
_LOOK_AGAIN = 0.2
"""Seconds after which a command looks again whether the part that runs in it still reports itself."""


class _Terminal:
    """The last line of a terminal, which is written over while nothing else is said."""

    def __init__(self) -> None:
        self.write: Callable[[str], None] | None = None
        self._shown_at: float | None = None

    def show(self, text: str, now: float) -> None:
        """Show a line in place of the one before; of several that report at a time, one is shown each second."""
        if self.write is not None and (self._shown_at is None or now - self._shown_at > _UPDATED / 2):
            self._shown_at = now
            self.write(f"\r\x1b[K{text}\r")  # what is printed past the streams of the command then writes over it

    def clear(self) -> None:
        """Take the line away."""
        if self._shown_at is not None and self.write is not None:
            self._shown_at = None
            self.write("\r\x1b[K")


_terminal = _Terminal()


@contextmanager
def on_terminal(write: Callable[[str], None]) -> Iterator[None]:
    """Show the body's silences as one line of a terminal, in place of lines of its output.

    Args:
        write: Writes text to the terminal as it is, at once.
    """
    _terminal.write = write
    try:
        yield
    finally:
        with _speaking:
            _terminal.clear()
            _terminal.write = None


def note_line() -> None:
    """Note that a step has written a line of its own, or is about to; a terminal's line is taken away for it."""
    _last_line[0] = time.monotonic()
    if _terminal.write is not None:
        with _speaking:
            _terminal.clear()


@contextmanager
def reporting(
    say: Callable[[str], None], quiet: float = QUIET, *, doing: str = "", outermost: bool = False
) -> Iterator[None]:
    """Say now and then how long the body has run, while it is silent.

    Args:
        say: Writes a line.
        quiet: Seconds of silence before the first line.
        doing: The work of the body, for a terminal.
        outermost: Whether the body is a whole command, which leaves the word to each part of it that reports too.
            The silence before such a part counts for the part.
    """
    over, began, context = threading.Event(), time.monotonic(), copy_context()
    subject = f"everfit: {doing}: " if doing else "everfit: "

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
                text = f"still running, {now - began:.0f} s so far"
                if _terminal.write is not None:
                    _terminal.show(subject + text, now)
                    wait = _UPDATED
                    continue
                context.run(say, text)
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
