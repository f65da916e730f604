"""Which MLflow: its address, and a client of it."""

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from everfit.blocks.errors import ModelError
from everfit.blocks.settings import Settings
from everfit.tasks.core.reachable import why_no_mlflow, why_unreachable
from everfit.tasks.registry.moved_folder import follow_moved_folder
from everfit.tasks.storage.durable import sync_file, sync_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"
"""Beginning of the address of an MLflow in a file."""


def use_tracking(settings: Settings) -> str:
    """Point MLflow at its store: `MLFLOW_TRACKING_URI`, or SQLite in the state folder.

    Returns:
        The tracking URI.
    """
    if "MLFLOW_TRACKING_URI" not in os.environ:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        os.environ["MLFLOW_TRACKING_URI"] = f"{SQLITE}{settings.state_dir / 'mlflow.db'}"
    uri = os.environ["MLFLOW_TRACKING_URI"]
    if uri.startswith(SQLITE):
        follow_moved_folder(Path(uri.removeprefix(SQLITE)), settings.state_dir)
    return uri


def check_tracking(settings: Settings) -> None:
    """Check that an MLflow listens at its address: its client would try for minutes.

    Raises:
        ModelError: Nobody does, or something else does.
    """
    uri = use_tracking(settings)
    if problem := why_unreachable(uri):
        raise ModelError(
            f"MLflow at {uri} does not answer: {problem}; start it, or set MLFLOW_TRACKING_URI to its address"
        ) from ConnectionError(problem)
    if problem := why_no_mlflow(uri):
        raise ModelError(
            f"{uri} is no MLflow: {problem}; set MLFLOW_TRACKING_URI to MLflow's address, without a path of a page"
        )


def tracking_client(settings: Settings) -> "MlflowClient":
    """A client of the MLflow that the settings name."""
    uri = use_tracking(settings)
    from mlflow import MlflowClient

    if uri.startswith(SQLITE) and "?" not in uri:
        _make_database(Path(uri.removeprefix(SQLITE)))
    return MlflowClient(tracking_uri=uri, registry_uri=os.environ.get("MLFLOW_REGISTRY_URI"))


def _make_database(path: Path) -> None:
    """Make MLflow's SQLite database, if there is none; it gets its name when it is whole.

    MLflow makes the tables in many steps, and can't go on where a process was killed among them.
    """
    if path.exists() or not path.parent.is_dir():
        return
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    unfinished.unlink(missing_ok=True)  # of an earlier process with this number
    _make_tables(f"{SQLITE}{unfinished}")
    sync_file(unfinished)
    try:
        path.hardlink_to(unfinished)
    except OSError:  # another process was faster, or the file system has no links
        if not path.exists():
            unfinished.replace(path)
    for left in path.parent.glob(f"{path.name}.*.*.tmp*"):
        if left.name.startswith(unfinished.name) or not _is_alive(left.name.removeprefix(f"{path.name}.")):
            left.unlink(missing_ok=True)  # another process or thread may be making its own
    sync_folder(path.parent)


def _is_alive(made_by: str) -> bool:
    """Return whether the process whose number a name begins with may be running."""
    try:
        os.kill(int(made_by.partition(".")[0]), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except (PermissionError, ValueError):
        return True
    return True


def _make_tables(uri: str) -> None:
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore(uri, DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH)  # type: ignore[no-untyped-call]
    store.engine.dispose()
