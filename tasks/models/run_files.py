"""List and read the files of an MLflow run where they are kept.

MLflow's client asks the server several times for each file: where the run's files are, and whether the run has a model
of the file's name. everfit gives no model such a name, and where a run's files are does not change.
"""

from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

_STORES: "WeakKeyDictionary[MlflowClient, dict[str, ArtifactRepository]]" = WeakKeyDictionary()
"""The store of each run's files, as long as the client of which it was asked."""


def run_files(client: "MlflowClient", run_id: str, folder: str = "") -> list[str]:
    """Return the paths of the files in a folder of a run, without those in folders within it.

    Args:
        client: MLflow client.
        run_id: The run.
        folder: Path of the folder in the run; empty for the files beside all folders.

    Raises:
        MlflowException: There is no such run.
    """
    return [item.path for item in _store(client, run_id).list_artifacts(folder or None) if not item.is_dir]


def download_run_files(client: "MlflowClient", run_id: str, path: str, to: str | Path) -> Path:
    """Download a file or a folder of a run, and return the copy.

    Args:
        client: MLflow client.
        run_id: The run.
        path: Path of the file or folder in the run.
        to: Folder in which the copy gets the same path.

    Raises:
        MlflowException: There is no such run, or it has no such file, or the file can't be read.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

    store = _store(client, run_id)
    try:
        return Path(store.download_artifacts(path, str(to)))  # type: ignore[no-untyped-call]
    except Exception as error:  # each kind of store has errors of its own
        problem = f"{path!r} of run {run_id!r} can't be read: {type(error).__name__}: {error}"
        raise MlflowException(problem, error_code=RESOURCE_DOES_NOT_EXIST) from error


def _store(client: "MlflowClient", run_id: str) -> "ArtifactRepository":
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    known = _STORES.setdefault(client, {})
    if run_id not in known:
        uri = client.get_run(run_id).info.artifact_uri
        known[run_id] = get_artifact_repository(uri, client.tracking_uri)
    return known[run_id]
