"""A panic of Delta's library is an error in one line, and its report stays off the terminal."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.version import Version

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.storage.panics import panics_as_errors

FULL_DISK = r"""
import datetime, logging, os, resource, signal, sys
import numpy as np
import pandas as pd
from everfit.blocks.errors import WorkspaceError
from everfit.tasks.storage.panics import hide_panics
from everfit.tasks.storage.tables import Table

if sys.argv[2] == "hidden":
    hide_panics()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
rows = pd.DataFrame({"x": np.arange(300_000), "_day": [datetime.date(2024, 1, 1)] * 300_000})
table = Table(sys.argv[1])
table.append(rows.head(10), "one")
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, resource.RLIM_INFINITY))
os.write(2, b"before\n")
try:
    table.append(rows, "two")
except WorkspaceError as error:
    os.write(2, f"{error}\n".encode())
"""

LATE = r"""
import os
from everfit.tasks.storage.panics import hide_panics, panics_as_errors, show_hidden_lines

hide_panics()
try:
    with panics_as_errors():
        raise OSError("full")
except OSError:
    os.write(2, b"thread 'tokio-rt-worker' (7) panicked at a.rs:369:41:\nAlready shut down\nnote: run with\n")
    os.write(2, b"everfit: the disk is full\n")
show_hidden_lines()
os.write(2, b"afterwards\n")
"""


class PanicException(BaseException):
    """What pyo3 raises."""


def test_an_exception_of_the_library_becomes_an_error() -> None:
    broke_off = pytest.raises(WorkspaceError, match=r"broke off \(Already shut down\); run the command again")
    with broke_off, panics_as_errors():
        raise PanicException("Already shut down\nstack backtrace:")
    with pytest.raises(KeyboardInterrupt), panics_as_errors():
        raise KeyboardInterrupt


@pytest.mark.slow
def test_a_write_onto_a_full_disk_says_one_line(tmp_path: Path) -> None:
    def stderr(how: str) -> str:
        run = [sys.executable, "-c", FULL_DISK, str(tmp_path / how), how]
        return subprocess.run(run, capture_output=True, text=True, timeout=120, check=True, env=dict(os.environ)).stderr

    if Version(version("deltalake")) >= Version("1.6.6"):  # earlier ones did not panic
        assert "panicked at" in stderr("shown")  # once Delta no longer panics, this module can go
    lines = stderr("hidden").splitlines()
    assert lines[0] == "before"
    assert len(lines) == 2
    assert "can't be written" in lines[1]


def test_a_thread_that_panics_after_the_write_has_failed_is_not_heard() -> None:
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, timeout=120, check=True)

    assert done.stderr.splitlines() == ["everfit: the disk is full", "afterwards"]
