"""Where people find what was logged: MLflow's pages, by the address that their browsers reach it at."""

import os
from typing import TYPE_CHECKING

from everfit.blocks.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient


def run_page(client: "MlflowClient", settings: Settings, run_id: str, file: str = "") -> str | None:
    """The address of a run's page, or of a file of it; None if MLflow is a database that nobody serves."""
    base = settings.mlflow_page or os.environ.get("MLFLOW_TRACKING_URI", "")
    if not base.startswith(("http://", "https://")):
        return None
    experiment = client.get_run(run_id).info.experiment_id
    page = f"{base.rstrip('/')}/#/experiments/{experiment}/runs/{run_id}"
    return f"{page}/artifacts/{file}" if file else page


def run_link(client: "MlflowClient", settings: Settings, run_id: str, file: str = "") -> str:
    """A run in Markdown, with its page, or that of a file of it, behind it if it has one."""
    page = run_page(client, settings, run_id, file)
    return f"MLflow run `{run_id}`" if page is None else f"[MLflow run {run_id}]({page})"


def model_link(settings: Settings, model: str) -> str:
    """Return a last line of Markdown with the model's page; empty if nobody serves it."""
    page = settings.page_of(model)
    return f"\n\n[The page of {model}]({page})" if page else ""
