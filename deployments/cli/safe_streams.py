"""Keep a terminal's control sequences out of all that a command prints.

Names of columns, values, reasons and other libraries' messages come from outside. One filter before both streams takes
their control characters out, whoever prints them. A terminal still gets the styles of everfit's own output.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO, cast

from everfit.tasks.core.outside_text import terminal_text
from everfit.tasks.steps.still_running import note_line

_STYLE = re.compile("(\x1b\\[[0-9;]*m)")


@contextmanager
def safe_streams() -> Iterator[None]:
    """Filter what the body prints on standard output and standard error."""
    with redirect_stdout(_safe(sys.stdout)), redirect_stderr(_safe(sys.stderr)):
        yield


def _safe(stream: TextIO) -> TextIO:
    return cast("TextIO", _SafeStream(stream))


class _SafeStream:
    """A text stream that writes no control characters; in all else it is the stream behind it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text without control characters; styles stay if the stream is a terminal."""
        note_line()
        if not self._stream.isatty():
            self._stream.write(terminal_text(text))
            return len(text)
        parts = _STYLE.split(text)  # every second one is a style
        self._stream.write("".join(part if place % 2 else terminal_text(part) for place, part in enumerate(parts)))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write lines without control characters."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
