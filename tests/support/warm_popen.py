"""`subprocess.Popen` of a Python module, forked from a warm process (`support.processes`) in place of being started."""

import fcntl
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from types import ModuleType, SimpleNamespace
from typing import IO, Any

import pytest
from support.processes import Descriptor, forked, settle_in


def let_fork(monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
    """Let what these modules start by `python -m MODULE` be forked: to import all that it needs takes seconds.

    Whether Python itself can start the program is the subject of other tests.
    """
    forking = SimpleNamespace(**{**vars(subprocess), "Popen": WarmPopen})
    for module in modules:
        monkeypatch.setattr(module, "subprocess", forking)


def output_of(*words: str) -> str:
    """What `python -m` prints that is given these words, which has to succeed."""
    with TemporaryFile("w+") as errors:
        process = WarmPopen([sys.executable, "-m", *words], stdout=subprocess.PIPE, stderr=errors, text=True)
        assert process.stdout is not None
        with process.stdout:
            printed: str = process.stdout.read()
        code = process.wait()
        errors.seek(0)
        assert code == 0, printed + errors.read()
    return printed


class WarmPopen:
    """A process of `[sys.executable, "-m", MODULE, *arguments]`, with what everfit uses of `subprocess.Popen`."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        stdin: int | None = None,
        stdout: int | IO[Any] | None = None,
        stderr: IO[Any] | None = None,
        pass_fds: Sequence[int] = (),
        text: bool = False,
    ) -> None:
        module, *arguments = map(str, command[list(command).index("-m") + 1 :])
        mode = "" if text else "b"
        self.stdin: IO[Any] | None = None
        self.stdout: IO[Any] | None = None
        theirs = {number: number for number in pass_fds}
        ends = []
        if stdin == subprocess.PIPE:
            read, write = os.pipe()
            theirs[0], self.stdin = read, os.fdopen(write, "w" + mode)
            ends.append(read)
        if stdout == subprocess.PIPE:
            read, write = os.pipe()
            theirs[1], self.stdout = write, os.fdopen(read, "r" + mode)
            ends.append(write)
        elif stdout == subprocess.DEVNULL:
            theirs[1] = os.open(os.devnull, os.O_WRONLY)
            ends.append(theirs[1])
        elif stdout is not None and not isinstance(stdout, int):
            theirs[1] = stdout.fileno()
        if stderr is not None:
            theirs[2] = stderr.fileno()
        given = {number: Descriptor(mine) for number, mine in theirs.items()}
        self._process = forked.Process(
            target=_run, args=(module, arguments, dict(os.environ), str(Path.cwd()), list(sys.path), given)
        )
        self._process.start()
        for end in ends:
            os.close(end)
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code; negative if a signal ended it, None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it has ended; raise `TimeoutExpired` after so many seconds."""
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired(str(self._process.name), timeout or 0.0)
        return code

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.kill()


def _run(
    module: str,
    arguments: list[str],
    environment: Mapping[str, str],
    folder: str,
    path: list[str],
    descriptors: Mapping[int, int],
) -> None:
    # Away from the low numbers first: one may be another's place.
    moved = {place: fcntl.fcntl(number, fcntl.F_DUPFD, 1000) for place, number in descriptors.items()}
    for number in descriptors.values():
        os.close(number)
    for place, number in moved.items():
        os.dup2(number, place)
        os.close(number)
    os.environ.clear()
    settle_in(environment, folder)
    sys.path[:], sys.argv = path, [module, *arguments]
    sys.stdin = os.fdopen(0, closefd=False)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
