"""Keep panics of Delta's native library from people and from `except Exception`.

When a write fails, such as on a full disk, the library may panic. It prints a report to the process's standard error
from a thread of its own, and may raise an exception that is not an `Exception`.
"""

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from everfit.blocks.errors import WorkspaceError

_REPORT = re.compile(rb"\n?thread '[^\n]*' (?:\(\d+\) )?panicked at .*?\nnote: [^\n]*(?:\n|$)", re.DOTALL)
"""A report of Rust's runtime: its first line, the reason, and perhaps a backtrace, up to its note."""

_STDERR = 2


class _Report:
    """Where reports go while writes run: to a file instead of the terminal, for as long as any write runs."""

    def __init__(self) -> None:
        self.hidden = False
        self._lock = threading.Lock()
        self._writes = 0
        self._terminal = -1
        self._file: IO[bytes] | None = None

    def begin(self) -> None:
        with self._lock:
            self._writes += 1
            if self._writes == 1:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
                self._terminal = os.dup(_STDERR)
                os.dup2(self._file.fileno(), _STDERR)

    def end(self) -> None:
        with self._lock:
            self._writes -= 1
            if self._writes or self._file is None:
                return
            os.dup2(self._terminal, _STDERR)
            os.close(self._terminal)
            self._file.seek(0)
            other = _REPORT.sub(b"", self._file.read())
            self._file.close()
            while other:  # of other threads
                other = other[os.write(_STDERR, other) :]


_report = _Report()


def hide_panics() -> None:
    """Keep reports of panics off this process's terminal from now on; the error that the write raises says it all."""
    _report.hidden = True


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Turn a panic in the body into a `WorkspaceError`, and hide its report if this process hides them.

    Raises:
        WorkspaceError: The library has panicked.
    """
    hidden = _report.hidden
    if hidden:
        _report.begin()
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        first = (str(error) or "no reason given").splitlines()[0]
        raise WorkspaceError(f"Delta's library broke off ({first}); run the command again") from error
    finally:
        if hidden:
            _report.end()
