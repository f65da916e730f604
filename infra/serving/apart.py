"""Fetch a version and condense it in a process of its own (`version_process.py`).

That needs MLflow's client, scikit-learn and skops. A service that has imported them would hold a few hundred megabytes
for as long as it runs, and would answer nothing while it imports them.
"""

import contextlib
import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from everfit.blocks.errors import ArtifactError, ModelError
from everfit.tasks.core.records import ModelVersion

LENGTH = struct.Struct("<Q")
"""Head of each result: its length."""

CONDENSED = ".condensed"
"""End of the name of a file with a condensed version, behind its number."""

_PROGRAM = "everfit.infra.serving.version_process"

_ENDS_WITHIN = 600.0
"""Seconds after which a process that fetches or condenses is taken for stuck."""
_NICENESS = 10
"""The version that is served has precedence."""


class ApartError(ModelError):
    """The process did not do its work, for a reason that is no fault of the version."""


class Processes:
    """The processes that fetch and condense versions: one for all while the service starts, later one for each work."""

    def __init__(self) -> None:
        self._first: subprocess.Popen[bytes] | None = None
        self._starts = True
        self._lock = threading.Lock()

    def start_early(self) -> None:
        """Start one before there is work: it imports what condensing needs while this process starts too."""
        with self._lock:
            self._first = self._first or _started(0)

    def end_start(self) -> None:
        """End the process of the start: the service has started."""
        with self._lock:
            self._starts, first, self._first = False, self._first, None
        if first is not None:
            first.kill()
            _end(first)

    def fetch(self, folder: Path, version: ModelVersion, signers: Sequence[str], *, serves: bool) -> None:
        """Bring a version's files into the copies of its model.

        Args:
            folder: Folder of the copies.
            version: The version.
            signers: The signers in the spec of the model.
            serves: Whether another version answers meanwhile.

        Raises:
            ArtifactError: The files in the registry are not those that were registered.
            ModelError: They can't be read.
            ApartError: The process ended without a word.
        """
        work = {"do": "fetch", "folder": str(folder), "version": version.model_dump(mode="json"), "signers": [*signers]}
        said = json.loads(self._do(work, serves=serves))
        if said.get("error") == ArtifactError.__name__:
            raise ArtifactError(said["message"])
        if "error" in said:
            raise ModelError(said["message"])

    def condense(self, folder: Path, version: ModelVersion, name: str, *, serves: bool) -> bytes:
        """Return the numbers of a version, as `everfit.tasks.scoring.condensed.condense` does.

        Args:
            folder: Checked copy of the version's files.
            version: The version.
            name: Name of exactly these files.
            serves: Whether another version answers meanwhile.

        Raises:
            ApartError: The version can't be condensed, such as one that is broken.
        """
        work = {"do": "condense", "folder": str(folder), "version": version.model_dump(mode="json"), "name": name}
        return self._do(work, serves=serves)

    def _do(self, work: dict[str, Any], *, serves: bool) -> bytes:
        with self._lock:
            if self._starts:
                process, self._first = self._first or _started(0), None
                result = _done(work, process)
                self._first = process  # it has imported all by now
                return result
        process = _started(_NICENESS if serves else 0)
        result = _done(work, process)
        _end(process)
        return result


def _started(niceness: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-P", "-m", _PROGRAM, str(niceness)]
    # The other process can import the same modules, such as one with a class of the operator's own.
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=given)  # noqa: S603
    except OSError as error:
        raise ApartError(f"no process for a version can be started: {error}") from error


def _done(work: dict[str, Any], process: "subprocess.Popen[bytes]") -> bytes:
    """Return the result of a process, which is ended if it has none."""
    assert process.stdin is not None and process.stdout is not None  # noqa: PT018, S101 - it was started with both
    stuck = threading.Timer(_ENDS_WITHIN, process.kill)
    stuck.daemon = True
    stuck.start()
    result = b""
    try:
        process.stdin.write(json.dumps(work).encode() + b"\n")
        process.stdin.flush()
        head = process.stdout.read(LENGTH.size)
        if len(head) == LENGTH.size:
            (length,) = LENGTH.unpack(head)
            result = process.stdout.read(length)
            if len(result) == length:
                return result
    except OSError:
        pass  # it has ended before it read its work
    finally:
        stuck.cancel()
    _end(process)
    raise ApartError(f"the process for {work['do']!r} ended with code {process.returncode}; its output says why")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Let a process end, which it does when nobody has more work."""
    with contextlib.suppress(OSError):
        process.communicate()
