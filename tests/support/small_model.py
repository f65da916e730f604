"""A small model in a registry of its own, for what only needs one that answers."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from support.prepared import copy_empty_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient


def register_small_model(folder: Path, key: Sequence[str] = (), seed: int = 0) -> "MlflowClient":
    """Register a model of one feature as the champion of `model`, and return the client of its registry.

    Args:
        folder: Empty folder; `store` has the files of the model, `mlflow.db` the registry.
        key: The columns that identify a row; a column `id` is there for it.
        seed: Decides on the rows that it was fitted on.
    """
    import mlflow
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from everfit.tasks.models.input_schema import InputSchema

    at = pd.date_range("2024-01-01", periods=50, tz="UTC")
    rows = pd.DataFrame({"x": np.random.default_rng(seed).normal(size=50), "id": range(50), "at": at})
    pipeline = make_pipeline(LogisticRegression()).fit(rows[["x"]], np.arange(50) % 2)
    schema = InputSchema.of_frame(rows, task="binary", features=["x"], key=list(key), event_time="at")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            pipeline,
            folder / "store",
            serialization_format="skops",
            signature=mlflow.models.infer_signature(rows[["x"]], pipeline.predict(rows[["x"]])),
            pip_requirements=["scikit-learn"],
            metadata=schema.metadata(),
        )
    copy_empty_mlflow(folder / "mlflow.db")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    client.create_registered_model("model")
    client.create_model_version("model", (folder / "store").as_uri())
    client.set_registered_model_alias("model", "champion", "1")
    return client
