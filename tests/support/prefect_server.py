"""A Prefect server for the tests of one process."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from multiprocessing import parent_process
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx
from support.prepared import KEPT, locked
from support.processes import forked, is_warm, settle_in

_APP = "prefect.server.api.server:create_app"


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run a server on a database in a folder, and yield the URL of its API.

    The first server of a Prefect version makes the tables, which takes it as long as all else. Later ones begin with a
    copy.
    """
    import prefect

    database, empty = folder / "prefect.db", KEPT / f"prefect-{prefect.__version__}.db"
    with nullcontext() if empty.exists() else locked("prefect"):
        if empty.exists():
            shutil.copy(empty, database)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        arguments = {"host": "127.0.0.1", "port": port, "log_level": "error", "lifespan": "on"}
        server = _forked(arguments, database) if is_warm() else _Started(arguments, database)
        try:
            _wait_for(server.is_alive, f"http://127.0.0.1:{port}/api/health")
            if not empty.exists():
                _copy(database, empty)
        except BaseException:
            server.kill()
            server.join()
            raise
    try:
        yield f"http://127.0.0.1:{port}/api"
    finally:
        server.terminate()
        server.join(10)
        server.kill()
        server.join()


def send_everything() -> None:
    """Wait until Prefect's threads have sent all logs and events, which a server that stops would miss."""
    import inspect

    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker
    from prefect.utilities.asyncutils import run_coro_as_sync

    async def drain() -> None:
        for drained in (APILogWorker.drain_all(), EventsWorker.drain_all()):
            if inspect.isawaitable(drained):
                await drained

    run_coro_as_sync(drain())


class _Started:
    """A server in a process that imports everything, which suits a run of some tests."""

    def __init__(self, arguments: dict[str, Any], database: Path) -> None:
        from everfit.deployments.cli.environment import UVICORN

        command = [sys.executable, "-c", UVICORN, "--factory", _APP]
        for name, value in arguments.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        self._process = subprocess.Popen(command, env=os.environ | _settings(database))
        self.terminate, self.kill = self._process.terminate, self._process.kill

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def join(self, seconds: float | None = None) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)


def _forked(arguments: dict[str, Any], database: Path) -> BaseProcess:
    """Start a server in a process that has imported everything already."""
    server = forked.Process(target=_serve, args=(arguments, os.environ | _settings(database)))
    server.start()
    return server


def _serve(arguments: dict[str, Any], environment: dict[str, str]) -> None:
    settle_in(environment, ".")
    import uvicorn

    threading.Thread(target=_end_with, args=(parent_process(),), daemon=True).start()
    uvicorn.run(_APP, factory=True, **arguments)


def _end_with(parent: BaseProcess) -> None:
    wait([parent.sentinel])
    os._exit(1)


def _settings(database: Path) -> dict[str, str]:
    return {
        "PREFECT_UI_ENABLED": "0",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}",
        # As Prefect starts a server for a flow that has none: without the services that look after deployments.
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
        # No automation of these tests is to act, and without them the server has nothing to look through every second.
        "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "0",
        # States of tasks are written some at a time; by itself the server writes each in a transaction of its own.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "20",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    }


def _wait_for(alive: Callable[[], bool], url: str, seconds: float = 180) -> None:
    give_up = time.monotonic() + seconds
    while True:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert alive(), "the Prefect server ended"
        assert time.monotonic() < give_up, "the Prefect server did not start in time"
        time.sleep(0.1)


def _copy(database: Path, to: Path) -> None:
    partly = to.with_suffix(".partly")
    partly.unlink(missing_ok=True)
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(partly)) as target:
        source.backup(target)
    partly.replace(to)
