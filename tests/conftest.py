"""What all tests share. Nothing here starts a server unless a test asks for the fixture."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.stories import Story

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
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each process that a test starts compiles everfit anew
os.environ.setdefault("XDG_RUNTIME_DIR", _HOME)  # without one, platformdirs warns at every look
for variable in [name for name in os.environ if name.startswith(("EVERFIT_", "PREFECT_API_", "MLFLOW_TRACKING_"))]:
    del os.environ[variable]


def pytest_unconfigure() -> None:
    """Take the tests' own Prefect home away again."""
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A Prefect server with a database of its own, for the whole session."""
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


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
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def mlflow_uri(workspace: Path, _empty_mlflow: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty MLflow in the workspace; its tables are made once a session, since that takes seconds."""
    path = workspace / "mlflow.db"
    shutil.copy(_empty_mlflow, path)
    uri = f"sqlite:///{path}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.fixture(scope="session")
def _story(_empty_mlflow: Path, tmp_path_factory: pytest.TempPathFactory) -> "Story":
    from support.stories import a_story

    workspace = tmp_path_factory.mktemp("story") / ".everfit"
    workspace.mkdir()
    shutil.copy(_empty_mlflow, workspace / "mlflow.db")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("EVERFIT_WORKSPACE", str(workspace))
        patched.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workspace / 'mlflow.db'}")
        return a_story(workspace)


@pytest.fixture
def story(_story: "Story", workspace: Path, mlflow_uri: str) -> "Story":
    """Three months of a model that is retrained and released, in a workspace of the test's own."""
    from support.stories import copy_of

    return copy_of(_story, workspace)
