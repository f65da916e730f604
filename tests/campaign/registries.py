"""A registry with one recorded version, for the drivers that change its files."""

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from campaign.artifacts import run_artifacts
from campaign.tally import Tally
from everfit.tasks.ledger import Ledger
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.artifact_records import record_artifacts
from everfit.tasks.storage.workspace import Workspace


def changed_files(folder: Path, seed: int, changes: int) -> Tally:
    """Register a small model in an empty folder, and change its files.

    Args:
        folder: Empty folder.
        seed: Decides on the changes.
        changes: Number of changes.
    """
    import mlflow
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from everfit.tasks.models.input_schema import InputSchema

    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    chance = np.random.default_rng(seed)
    rows = pd.DataFrame({"x": chance.normal(size=50), "at": pd.date_range("2024-01-01", periods=50, tz="UTC")})
    pipeline = make_pipeline(LogisticRegression()).fit(rows[["x"]], np.arange(50) % 2)
    schema = InputSchema.of_frame(rows, task="binary", features=["x"], key=[], event_time="at")
    stored = folder / "store"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            pipeline,
            stored,
            serialization_format="skops",
            signature=mlflow.models.infer_signature(rows[["x"]], pipeline.predict(rows[["x"]])),
            pip_requirements=["scikit-learn"],
            metadata=schema.metadata(),
        )
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    client.create_registered_model("model")
    client.create_model_version("model", stored.as_uri())
    version = model_registry.model_version(client, "model", 1)
    ledger = Ledger.open(f"sqlite:///{folder / 'ledger.db'}")
    record_artifacts(client, ledger, Workspace(str(folder / "workspace")), version, actor="campaign", reason="test")
    return run_artifacts(client, ledger, version, stored, seed=seed, changes=changes)
