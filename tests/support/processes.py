"""Processes forked from one that has imported all that is heavy, and has started nothing: each would take seconds."""

import atexit
import importlib
import logging
import os
import socket
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from multiprocessing import connection, context, forkserver, resource_tracker
from multiprocessing.connection import Connection
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
    "prefect.server.api.server",
    "uvicorn",
    *("prefect.flow_engine", "prefect.task_engine", "prefect.telemetry", "anyio._backends._asyncio", "graphviz"),
    *("mlflow.pyfunc", "alembic.command", "narwhals", "git", "plotly.graph_objects"),  # they come with what MLflow logs
    *("pyarrow.dataset", "pyarrow.parquet", "pyarrow.csv"),
    "support.frozen",
)
_TESTS = str(Path(__file__).parents[1])
_FILTERS: list[Any] = []
"""The filters of warnings of a process that has only imported `PRELOADED`."""


class _Process(context.ForkServerProcess):
    """A forked process. The one that it is forked from finds `support` too: Python 3.11 doesn't pass it `sys.path`."""

    @staticmethod
    def _Popen(process: context.ForkServerProcess) -> object:  # noqa: N802 - multiprocessing's name
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = _TESTS if before is None else os.pathsep.join([_TESTS, before])
        try:
            forkserver.ensure_running()
        finally:
            os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
        return context.ForkServerProcess._Popen(process)


class _Forked(context.ForkServerContext):
    Process = _Process


forked = _Forked()
forked.set_forkserver_preload(list(PRELOADED))


def preload() -> None:
    """Import all of `PRELOADED` here, as a process that starts would."""
    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.filterwarnings("default", category=DeprecationWarning, module="__main__", append=True)
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category, append=True)
        for name in PRELOADED:
            importlib.import_module(name)
        _FILTERS[:] = warnings.filters


def fork_server(leaves: Sequence[int]) -> None:
    """Fork the process that others are forked from, in place of starting it, from one that has all of `PRELOADED`.

    It must be called before this process starts a thread or a test.

    Args:
        leaves: File descriptors of this process alone.
    """
    server: Any = forkserver._forkserver  # type: ignore[attr-defined]
    resource_tracker.ensure_running()
    address = connection.arbitrary_address("AF_UNIX")  # type: ignore[attr-defined]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    alive_r, alive_w = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Threads of allocators don't live on in a process, and are not missed.
        pid = os.fork()
    if pid == 0:
        try:
            for descriptor in (*leaves, alive_w):
                os.close(descriptor)
            _be_as_started()
            forkserver.main(listener.detach(), alive_r, [])
        except SystemExit:
            pass
        except BaseException:  # noqa: BLE001 - no test may run on in this process
            traceback.print_exc()
        finally:
            os._exit(0)
    listener.close()
    os.close(alive_r)
    server._forkserver_address, server._forkserver_alive_fd, server._forkserver_pid = address, alive_w, pid


def is_warm() -> bool:
    """Return whether there is a process already from which others are forked."""
    server: Any = forkserver._forkserver  # type: ignore[attr-defined]
    return server._forkserver_pid is not None


def _be_as_started() -> None:
    """Take back what pytest has put in place of streams, filters of warnings and handlers of logs."""
    warnings.resetwarnings()
    warnings.filters.extend(_FILTERS)  # type: ignore[attr-defined]
    sys.stdin, sys.stdout, sys.stderr = sys.__stdin__, sys.__stdout__, sys.__stderr__
    logging.getLogger().handlers.clear()


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
    atexit._run_exitfuncs()  # which a forked process leaves out, and a command does not
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
