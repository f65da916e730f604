"""A Prefect server for the tests of one process."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest
from support.prepared import KEPT, locked

_TELL = "emit_task_run_state_change_event"
"""What Prefect's engine of tasks calls to tell a state of a run."""

_IDLE = """
import asyncio, docket
async def wait_for_the_end(_):
    await asyncio.Event().wait()
docket.Worker.run_forever = wait_for_the_end
"""
"""The server's worker looks some ten times a second for work that no test waits for (late runs, old logs): a hundredth
of a processor for each server, all the time.
"""


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run a server on a database in a folder, and yield the URL of its API.

    The first server of a Prefect version makes the tables, which takes it as long as all else. Later ones begin with a
    copy.
    """
    import prefect

    database, empty = folder / "prefect.db", KEPT / f"prefect-{prefect.__version__}.db"
    with locked("prefect"):
        if empty.exists():
            shutil.copy(empty, database)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = _start(port, database, has_blocks=empty.exists())
        try:
            _wait_for(server, f"http://127.0.0.1:{port}/api/health")
            if not empty.exists():
                _copy(database, empty)
        except BaseException:
            server.kill()
            server.wait()
            raise
    try:
        yield f"http://127.0.0.1:{port}/api"
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@contextmanager
def without_task_runs() -> Iterator[None]:
    """Send no server the states of tasks.

    A server spends more than half of its time for a flow on them, and hardly a test looks for a task's run on it: the
    tests that do ask for `with_task_runs`. Processes of their own send theirs.
    """
    from prefect import task_engine

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(task_engine, _TELL, lambda **_: None)
        yield


@contextmanager
def with_task_runs() -> Iterator[None]:
    """Tell the server of the states of tasks, as ever."""
    from prefect import task_engine
    from prefect.utilities import engine

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(task_engine, _TELL, getattr(engine, _TELL))
        yield


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


def _start(port: int, database: Path, *, has_blocks: bool) -> "subprocess.Popen[bytes]":
    from everfit.deployments.cli.environment import UVICORN

    command = [sys.executable, "-c", _IDLE + UVICORN, "--factory", "prefect.server.api.server:create_app"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error", "--lifespan", "on"]
    environment = os.environ | {
        "PREFECT_UI_ENABLED": "0",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database}",
        # As Prefect starts a server for a flow that has none: without the services that look after deployments.
        "PREFECT__SERVER_EPHEMERAL": "1",
        "PREFECT__SERVER_FINAL": "1",
        # To find out whether the types of blocks changed, a server imports every collection that is installed.
        "PREFECT_API_BLOCKS_REGISTER_ON_START": str(not has_blocks).lower(),
        "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
        # No automation of these tests is to act, and without them the server has nothing to look through every second.
        "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "0",
        # States of tasks are written some at a time; by itself the server writes each in a transaction of its own.
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "20",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    }
    return subprocess.Popen(command, env=environment)


def _wait_for(server: "subprocess.Popen[bytes]", url: str, seconds: float = 180) -> None:
    give_up = time.monotonic() + seconds
    while True:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert server.poll() is None, f"the Prefect server ended with {server.returncode}"
        assert time.monotonic() < give_up, "the Prefect server did not start in time"
        time.sleep(0.1)


def _copy(database: Path, to: Path) -> None:
    partly = to.with_suffix(".partly")
    partly.unlink(missing_ok=True)
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(partly)) as target:
        source.backup(target)
    partly.replace(to)
