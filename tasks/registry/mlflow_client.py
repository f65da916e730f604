"""Which MLflow: its address, and a client of it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from everfit.blocks.errors import ModelError
from everfit.blocks.settings import Settings
from everfit.tasks.core.reachable import why_no_mlflow, why_unreachable
from everfit.tasks.registry.moved_folder import follow_moved_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SQLITE = "sqlite:///"


def use_tracking(settings: Settings) -> str:
    """Point MLflow at its store: `MLFLOW_TRACKING_URI`, or SQLite in the state folder.

    Returns:
        The tracking URI.
    """
    if "MLFLOW_TRACKING_URI" not in os.environ:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        os.environ["MLFLOW_TRACKING_URI"] = f"{_SQLITE}{settings.state_dir / 'mlflow.db'}"
    uri = os.environ["MLFLOW_TRACKING_URI"]
    if uri.startswith(_SQLITE):
        follow_moved_folder(Path(uri.removeprefix(_SQLITE)), settings.state_dir)
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

    return MlflowClient(tracking_uri=uri, registry_uri=os.environ.get("MLFLOW_REGISTRY_URI"))
