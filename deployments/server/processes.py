"""Processes that outlive their command. A file names each one, and only its id stops it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from everfit.blocks.errors import DeploymentError
from everfit.tasks.ledger.process_identity import started_at

_ENDS_WITHIN = 30.0


@dataclass(frozen=True)
class Process:
    """A process of this or an earlier command.

    Attributes:
        name: The name of the process.
        folder: The folder of its file and its log.
    """

    name: str
    folder: Path

    @property
    def log(self) -> Path:
        """The file with its output."""
        return self.folder / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        """The id of the process while it runs, or None. A reused id of another process doesn't count."""
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        pid = int(kept["pid"])
        with contextlib.suppress(ChildProcessError):  # a child of this process must be collected
            os.waitpid(pid, os.WNOHANG)
        return pid if kept["started"] is not None and started_at(pid) == kept["started"] else None

    @property
    def port(self) -> int | None:
        """The port of the process, also after its end."""
        try:
            port = json.loads(self._file.read_text(encoding="utf-8"))["port"]
        except (OSError, ValueError, KeyError):
            return None
        return None if port is None else int(port)

    def start(self, command: Sequence[str], environment: Mapping[str, str], port: int | None = None) -> None:
        """Start the process in its own session, so that it outlives the terminal."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            started = subprocess.Popen(  # noqa: S603 - our own commands
                list(command),
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        content = {"pid": started.pid, "started": started_at(started.pid), "port": port}
        self._file.write_text(json.dumps(content), encoding="utf-8")

    def terminate(self) -> bool:
        """Send SIGTERM.

        Returns:
            Whether the process was running.
        """
        pid = self.pid
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
        return pid is not None

    def end(self) -> None:
        """Wait for the end of the process; after a timeout kill it and its children."""
        pid, deadline = self.pid, time.monotonic() + _ENDS_WITHIN
        while self.pid is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # its session, with the children that are left
        self._file.unlink(missing_ok=True)

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until the process is ready.

        Raises:
            DeploymentError: It ended, or is not ready in time.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if self.pid is None:
                raise DeploymentError(f"{self.name} has ended; its last lines are: {self._last_lines()}")
            if time.monotonic() > deadline:
                raise DeploymentError(f"{self.name} was not ready within {seconds:.0f} s; see {self.log}")
            time.sleep(0.1)

    @property
    def _file(self) -> Path:
        return self.folder / f"{self.name}.json"

    def _last_lines(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " / ".join(lines[-3:]) or "none"


def free_port(wanted: int) -> int:
    """Return the wanted port, or any free port if it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DeploymentError("there is no free port on 127.0.0.1; stop a process that listens there")
