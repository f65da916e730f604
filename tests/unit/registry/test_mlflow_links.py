"""Links to MLflow lead to where people's browsers reach it, and there are none where nobody serves it."""

import pytest
from mlflow import MlflowClient

from everfit.blocks.settings import Settings
from everfit.tasks.registry.mlflow_links import run_link, run_page


def test_a_run_has_a_page_where_mlflow_is_served(mlflow_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = MlflowClient(tracking_uri=mlflow_uri)
    run = client.create_run(client.create_experiment("flights")).info

    assert run_page(client, Settings(), run.run_id) is None
    assert run_link(client, Settings(), run.run_id) == f"MLflow run `{run.run_id}`"

    path = f"/#/experiments/{run.experiment_id}/runs/{run.run_id}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow:5000")
    assert run_page(client, Settings(), run.run_id) == f"http://mlflow:5000{path}"
    monkeypatch.setenv("EVERFIT_MLFLOW_PAGE", "https://mlflow.example.com/")
    assert run_link(client, Settings(), run.run_id) == f"[MLflow run {run.run_id}](https://mlflow.example.com{path})"
