"""Processes forked from one that has imported all that is heavy, and has started nothing: each would take seconds."""

import atexit
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from multiprocessing import context, forkserver
from multiprocessing.connection import Connection
from multiprocessing.reduction import DupFd
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

PRELOADED = (
    "support.seldom_collected",
    "skops.io",  # it looks through all modules that there are, for a second once the others are there
    "everfit.deployments.cli.commands",
    "everfit.flows.training_flow",
    "everfit.flows.monitoring_flow",
    "everfit.tasks.release.release",
    "mlflow",
    "sklearn.ensemble",
    "great_expectations",
    "mlflow.sklearn",
    "mlflow.store.tracking.sqlalchemy_store",
    "deltalake",
    "optuna",
    "shap",
    "everfit.infra.serving.app",
    *("prefect.flow_engine", "prefect.task_engine", "anyio._backends._asyncio", "graphviz"),
    *("mlflow.pyfunc", "git", "pyarrow.dataset"),  # a turn, a service or a command imports them when it comes to them
    "support.quiet_evidently",
    "support.frozen",
)
_TESTS = str(Path(__file__).parents[1])


_ADDRESS = "TESTS_FORK_FROM"
"""The variable with the address of the process that all test processes fork from."""


class Descriptor:
    """A file descriptor that is handed over while a process is forked; there it arrives as a number."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, tuple[Any]]:
        return _arrived, (DupFd(self.number),)


def _arrived(handed: Any) -> int:
    number: int = handed.detach()
    return number


class _Process(context.ForkServerProcess):
    """A forked process, with the environment and the outputs of the process that asked for it."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._environment = dict(os.environ)
        # Those of the process that it is forked from are the terminal's, past what captures the output of a test.
        self._outputs: Any = [(place, Descriptor(place)) for place in (1, 2)]

    def run(self) -> None:
        for place, number in self._outputs:
            os.dup2(number, place)
            os.close(number)
        os.environ.clear()
        os.environ.update(self._environment)
        super().run()

    @staticmethod
    def _Popen(process: context.ForkServerProcess) -> object:  # noqa: N802 - multiprocessing's name
        _ensure_running()
        return context.ForkServerProcess._Popen(process)


class _Forked(context.ForkServerContext):
    Process = _Process


forked = _Forked()
forked.set_forkserver_preload(list(PRELOADED))


def start_for_all() -> None:
    """Start the process that this one's children, the test processes, fork from: it takes six seconds to import all."""
    server: Any = forkserver._forkserver  # type: ignore[attr-defined]
    if not hasattr(server, "_forkserver_authkey"):  # since Python 3.14 only who has the key may ask
        _ensure_running()
        os.environ[_ADDRESS] = server._forkserver_address


def _ensure_running() -> None:
    server: Any = forkserver._forkserver  # type: ignore[attr-defined]
    if server._forkserver_address is None and _ADDRESS in os.environ:
        server._forkserver_address, server._forkserver_alive_fd = os.environ[_ADDRESS], os.pipe()[1]
        server.ensure_running = lambda: None
    before = os.environ.get("PYTHONPATH")
    # It finds `support` too: Python 3.11 doesn't pass it `sys.path`.
    os.environ["PYTHONPATH"] = _TESTS if before is None else os.pathsep.join([_TESTS, before])
    try:
        server.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)


def settle_in(environment: Mapping[str, str], folder: str) -> None:
    """Be a process of that environment, in that folder."""
    os.environ.update(environment)
    os.chdir(folder)
    from prefect.context import refresh_global_settings_context

    refresh_global_settings_context()


Said = tuple[int, str, str]
"""A command's exit code, what it wrote to standard output, and what to standard error."""


class Commands:
    """Calls of `everfit` in a process of their own, one after the other."""

    def __init__(
        self,
        *commands: Sequence[str],
        environment: Mapping[str, str] | None = None,
        around: Callable[[], AbstractContextManager[object]] | None = None,
    ) -> None:
        """Start them.

        Args:
            *commands: The words of each, without `everfit`.
            environment: All variables; by default those of this process.
            around: Function that returns what the process enters before them; it must be importable.
        """
        self._said, theirs = forked.Pipe(duplex=False)
        given = dict(os.environ if environment is None else environment)
        lines = [list(map(str, command)) for command in commands]
        self._process = forked.Process(target=_run, args=(lines, given, str(Path.cwd()), theirs, around))
        self._process.start()
        theirs.close()

    def said(self, seconds: float = 120) -> list[Said]:
        """What each said, once all are done."""
        try:
            assert self._said.poll(seconds), "the command hangs"
            said: list[Said] = self._said.recv()
            self._process.join(seconds)
            assert self._process.exitcode == 0
        finally:
            self._process.kill()
            self._process.join()
            self._said.close()
        return said


def everfit(*commands: Sequence[str], **variables: str) -> list[Said]:
    """What calls of `everfit` say, in this process's environment and these variables."""
    return Commands(*commands, environment=os.environ | variables).said()


def _run(
    commands: list[list[str]],
    environment: dict[str, str],
    folder: str,
    results: Connection,
    around: Callable[[], AbstractContextManager[object]] | None,
) -> None:
    os.environ.clear()
    settle_in(environment, folder)
    with around() if around is not None else nullcontext():
        said = [_call(command) for command in commands]
    results.send(said)
    results.close()
    # In the order of a command's end: Prefect's threads send what they hold, and then its server is stopped. A forked
    # process leaves the second out, and would send to a server that is gone.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()


def _call(command: list[str]) -> Said:
    from everfit.deployments.cli.main import main

    sys.argv, code = ["everfit", *command], 0
    with TemporaryFile() as out, TemporaryFile() as err:
        # Not by Python's own streams: logs go to those that there were when the libraries were imported.
        os.dup2(out.fileno(), sys.__stdout__.fileno())
        os.dup2(err.fileno(), sys.__stderr__.fileno())
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        sys.stdout.flush()
        sys.stderr.flush()
        written = []
        for stream in (out, err):
            stream.seek(0)
            written.append(stream.read().decode())
    return code, written[0], written[1]
