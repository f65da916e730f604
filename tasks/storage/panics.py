"""Keep panics of Delta's native library from people and from `except Exception`.

When a write fails, such as on a full disk, the library may panic. It prints a report to the process's standard error
from a thread of its own, and may raise an exception that is not an `Exception`.
"""

import atexit
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from everfit.blocks.errors import WorkspaceError

_REPORT = re.compile(rb"\n?thread '[^\n]*' (?:\(\d+\) )?panicked at .*?\nnote: [^\n]*(?:\n|$)", re.DOTALL)
"""A report of Rust's runtime: its first line, the reason, and perhaps a backtrace, up to its note."""

_STDERR = 2
_LATE_SECONDS = 1.0
"""Threads of a write that has failed may panic after it has returned."""


class _Report:
    """Where reports go while writes run: to a file instead of the terminal, for as long as any write runs."""

    def __init__(self) -> None:
        self.hidden = False
        self._lock = threading.Lock()
        self._writes = 0
        self._terminal = -1
        self._file: IO[bytes] | None = None
        self._late: list[threading.Timer] = []

    def end_later(self) -> None:
        """End a write that has failed, after a while or by `end_all`."""
        timer = threading.Timer(_LATE_SECONDS, self._end_late)
        timer.daemon = True
        with self._lock:
            self._late.append(timer)
        timer.start()

    def _end_late(self) -> None:
        with self._lock:
            timer = self._late.pop(0) if self._late else None
        if timer is not None:
            self.end()

    def end_all(self) -> None:
        """End all writes that have failed."""
        while self._late:
            self._end_late()

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
    atexit.register(_report.end_all)


def show_hidden_lines() -> None:
    """Write to the terminal what is no report of a panic and was kept back since a write has failed."""
    sys.stderr.flush()
    _report.end_all()


@contextmanager
def panics_as_errors() -> Iterator[None]:
    """Turn a panic in the body into a `WorkspaceError`, and hide its report if this process hides them.

    Raises:
        WorkspaceError: The library has panicked.
    """
    hidden, failed = _report.hidden, False
    if hidden:
        _report.begin()
    try:
        yield
    except BaseException as error:
        failed = True
        if type(error).__name__ != "PanicException":
            raise
        first = (str(error) or "no reason given").splitlines()[0]
        raise WorkspaceError(f"Delta's library broke off ({first}); run the command again") from error
    finally:
        if hidden and failed:
            _report.end_later()
        elif hidden:
            _report.end()
