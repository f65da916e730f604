"""Where people find what was logged: MLflow's pages, by the address that their browsers reach it at."""

import os
from typing import TYPE_CHECKING

from everfit.blocks.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient


def run_page(client: "MlflowClient", settings: Settings, run_id: str) -> str | None:
    """The address of a run's page; none where MLflow is a database that nobody serves."""
    base = settings.mlflow_page or os.environ.get("MLFLOW_TRACKING_URI", "")
    if not base.startswith(("http://", "https://")):
        return None
    experiment = client.get_run(run_id).info.experiment_id
    return f"{base.rstrip('/')}/#/experiments/{experiment}/runs/{run_id}"


def run_link(client: "MlflowClient", settings: Settings, run_id: str) -> str:
    """A run in Markdown, with its page behind it if it has one."""
    page = run_page(client, settings, run_id)
    return f"MLflow run `{run_id}`" if page is None else f"[MLflow run {run_id}]({page})"
