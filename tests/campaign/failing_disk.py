"""A folder whose disk fails, or kills who writes, for the processes that `failing_disk.c` is loaded into."""

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

KINDS = {"full disk": 1, "I/O error": 2, "read-only file system": 3, "forbidden folder": 4, "unreadable files": 5}
"""The faults: ENOSPC, EIO when writing, EROFS, EACCES, EIO when reading."""

KILL = "kill"
"""The process is killed before it writes."""

_TESTS = str(Path(__file__).parents[1])
_SOURCE = Path(__file__).with_name("failing_disk.c")
_CONTROL = struct.Struct("5q")


def compiler() -> str | None:
    """Return this machine's C compiler, or None."""
    return shutil.which("cc")


class FailingDisk:
    """A folder whose operations can fail.

    Attributes:
        folder: The folder.
        environment: What a process needs for its operations in the folder to fail.
    """

    def __init__(self, folder: Path, beside: Path) -> None:
        self.folder, library = folder, beside / "failing_disk.so"
        self._control = beside / "control"
        if not library.exists():
            command = [str(compiler()), "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"]
            subprocess.run(command, check=True)
            self._control.touch()
        self._write(_CONTROL.pack(0, 0, 0, 0, 0))
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAILING_FOLDER": str(folder),
            "FAILING_CONTROL": str(self._control),
        }

    def run(self, module: str, *words: str) -> str:
        """Run a module in a process whose disk can fail, and return what it writes."""
        paths = os.pathsep.join([_TESTS, *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = os.environ | self.environment | {"PYTHONPATH": paths}
        command = [sys.executable, "-m", module, *words]
        return subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True).stdout

    def fail(self, kind: str, at: int, lasts: int = 0) -> None:
        """Let operations fail from now on.

        Args:
            kind: One of `KINDS`, or `KILL`.
            at: The first operation that fails.
            lasts: How many operations fail; 0 for all that follow.
        """
        number = 6 if kind == KILL else KINDS[kind]
        self._write(_CONTROL.pack(number, at, 1 if kind == KILL else lasts, 0, 0))

    def end(self) -> tuple[int, int]:
        """End the fault, and return how many operations could have failed and how many did."""
        with self._control.open("rb") as stream:
            _, _, _, count, failed = _CONTROL.unpack(stream.read())
        self._write(_CONTROL.pack(0, 0, 0, 0, 0))
        return count, failed

    def _write(self, content: bytes) -> None:
        # In place, because the processes have mapped the file.
        descriptor = os.open(self._control, os.O_WRONLY)
        try:
            os.pwrite(descriptor, content, 0)
        finally:
            os.close(descriptor)
