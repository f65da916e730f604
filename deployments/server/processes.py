"""Processes that outlive the command that started them: found again by a file, stopped by their id and no other way."""

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
    """A process that was started, perhaps by an earlier command.

    Attributes:
        name: Of what it does.
        folder: Of its file and its log.
    """

    name: str
    folder: Path

    @property
    def log(self) -> Path:
        """What it wrote."""
        return self.folder / f"{self.name}.log"

    @property
    def pid(self) -> int | None:
        """Its id, if it runs; a number that another process has since is not its."""
        try:
            kept = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        pid = int(kept["pid"])
        with contextlib.suppress(ChildProcessError):  # one that this process has started itself must be collected
            os.waitpid(pid, os.WNOHANG)
        return pid if kept["started"] is not None and started_at(pid) == kept["started"] else None

    @property
    def port(self) -> int | None:
        """The port that it was given, also if it doesn't run any more."""
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))["port"]
        except (OSError, ValueError, KeyError):
            return None
        return None if found is None else int(found)

    def start(self, command: Sequence[str], environment: Mapping[str, str], port: int | None = None) -> None:
        """Start it in a session of its own, so that what ends the terminal doesn't end it."""
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

    def ask(self) -> bool:
        """Ask it to end.

        Returns:
            Whether it was running.
        """
        pid = self.pid
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
        return pid is not None

    def end(self) -> None:
        """Wait until it has ended, and after a while end it and what it has started."""
        pid, give_up = self.pid, time.monotonic() + _ENDS_WITHIN
        while self.pid is not None and time.monotonic() < give_up:
            time.sleep(0.05)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)  # the session that it leads: what it left behind
        self._file.unlink(missing_ok=True)

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until it does what it is for.

        Raises:
            DeploymentError: it ended, or isn't ready in time.
        """
        give_up = time.monotonic() + seconds
        while not ready():
            if self.pid is None:
                raise DeploymentError(f"{self.name} has ended; its last words: {self._last_words()}")
            if time.monotonic() > give_up:
                raise DeploymentError(f"{self.name} was not ready within {seconds:.0f} s; look into {self.log}")
            time.sleep(0.1)

    @property
    def _file(self) -> Path:
        return self.folder / f"{self.name}.json"

    def _last_words(self) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " / ".join(lines[-3:]) or "none"


def free_port(wanted: int) -> int:
    """The wanted port of this machine, or if it is taken any that is free."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DeploymentError("there is no free port on 127.0.0.1")
