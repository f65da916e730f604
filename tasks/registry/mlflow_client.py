"""Which MLflow: its address, and a client of it."""

import os
from typing import TYPE_CHECKING

from everfit.blocks.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient


def use_tracking(settings: Settings) -> str:
    """Point MLflow at its store: `MLFLOW_TRACKING_URI`, or SQLite in the state folder.

    Returns:
        The tracking URI.
    """
    if "MLFLOW_TRACKING_URI" not in os.environ:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{settings.state_dir / 'mlflow.db'}"
    return os.environ["MLFLOW_TRACKING_URI"]


def tracking_client(settings: Settings) -> "MlflowClient":
    """A client of the MLflow that the settings name."""
    uri = use_tracking(settings)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=os.environ.get("MLFLOW_REGISTRY_URI"))
