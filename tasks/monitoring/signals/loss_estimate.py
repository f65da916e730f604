"""Quality of a regression without labels: a second model learns where the first one's error is large.

Direct loss estimation; the method's name is NannyML's. Like an estimate from confidence it sees a change of the
inputs, and cannot see a change of the concept.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import DataError, NotEnoughError
from everfit.tasks.monitoring.signals.estimate_error import chunk_errors, error_on_rows
from everfit.tasks.statistics.estimate_trust import EstimatedQuality, TrackRecord, estimated
from everfit.tasks.statistics.metrics import Floats, metric

DLE_METRICS = {"mae", "mape", "mse", "rmse"}
"""Metrics that are a mean of what each row loses."""


@dataclass(frozen=True)
class LossEstimator:
    """Direct loss estimation for a regression model; it can't see concept drift.

    Attributes:
        name: The name of the metric.
        model: Predicts what a row loses from its features and the first model's prediction.
        columns: The features, in order.
        chunk_rows: Rows of a stretch of the reference.
        chunk_error: Root mean squared error of the estimate on such a stretch.
    """

    name: str
    model: Any
    columns: tuple[str, ...]
    chunk_rows: int
    chunk_error: float

    @classmethod
    def fit(
        cls, features: pd.DataFrame, y: npt.ArrayLike, predictions: npt.ArrayLike, name: str, *, seed: int = 0
    ) -> "LossEstimator":
        """Learn from reference rows that the model has not been trained on how large its error is where.

        Args:
            features: The reference rows' inputs, shape (n, features), in the order of event time.
            y: Labels, shape (n,).
            predictions: The model's predictions, shape (n,).
            name: The name of the metric: mae, mape, mse or rmse.
            seed: The seed of the second model.

        Raises:
            DataError: another metric, or too few rows.
        """
        if name not in DLE_METRICS:
            raise DataError(f"{name!r} can't be estimated without labels; allowed: {', '.join(sorted(DLE_METRICS))}")
        labels, values = metric(name).check(y, predictions)
        losses = _row_losses(name, labels, values)
        columns = tuple(map(str, features.columns))
        inputs = _inputs(features, values, columns)

        def fitted(rows: npt.NDArray[np.int64]) -> Any:
            return _loss_model(seed).fit(inputs.iloc[rows], losses[rows])

        rows, errors = chunk_errors(
            labels.size,
            lambda train, test: _of_losses(name, fitted(train).predict(inputs.iloc[test])),
            lambda test: metric(name).score(labels[test], values[test]),
            folds=3,
        )
        return cls(name, fitted(np.arange(labels.size)), columns, rows, errors)

    def estimate(
        self,
        features: pd.DataFrame,
        predictions: npt.ArrayLike,
        record: TrackRecord | None = None,
        *,
        confidence: float = 0.95,
    ) -> EstimatedQuality:
        """Estimate the metric on rows without labels.

        Args:
            features: The rows' inputs, shape (n, features).
            predictions: The model's predictions, shape (n,).
            record: How well past estimates agreed with the labels.
            confidence: The confidence of the band.

        Raises:
            DataError: no rows, or a feature is missing.
        """
        if missing := [name for name in self.columns if name not in features.columns]:
            raise DataError(f"the feature {missing[0]!r} is missing; it was there in the reference")
        if features.empty:
            raise NotEnoughError("there are no rows to estimate quality for; wait for predictions")
        inputs = _inputs(features, np.asarray(predictions, dtype=np.float64), self.columns)
        value = _of_losses(self.name, self.model.predict(inputs))
        error = error_on_rows(self.chunk_error, self.chunk_rows, len(inputs))
        return estimated("dle", self.name, len(inputs), value, error, record=record, confidence=confidence)

    def residual_spread(self, features: pd.DataFrame, y: npt.ArrayLike, predictions: npt.ArrayLike) -> float:
        """Return by how much losses differ from what is expected of their rows (root mean square).

        Args:
            features: Rows whose labels are known, shape (n, features).
            y: Their labels, shape (n,).
            predictions: The model's predictions, shape (n,).
        """
        labels, values = metric(self.name).check(y, predictions)
        return float(np.sqrt(np.mean((_row_losses(self.name, labels, values) - self.losses(features, values)) ** 2)))

    def losses(self, features: pd.DataFrame, predictions: npt.ArrayLike) -> Floats:
        """Return the loss that is expected of each row; shape (n,).

        Args:
            features: The rows' inputs, shape (n, features).
            predictions: The model's predictions, shape (n,).
        """
        inputs = _inputs(features, np.asarray(predictions, dtype=np.float64), self.columns)
        return np.maximum(0.0, np.asarray(self.model.predict(inputs), dtype=np.float64))


def _row_losses(name: str, y: Floats, predictions: Floats) -> Floats:
    distance: Floats = np.abs(y - predictions)
    if name in {"mse", "rmse"}:
        return distance**2
    return distance / np.maximum(np.abs(y), np.finfo(np.float64).eps) if name == "mape" else distance


def _of_losses(name: str, losses: Floats) -> float:
    mean = max(0.0, float(np.mean(losses)))
    return math.sqrt(mean) if name == "rmse" else mean


def _loss_model(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(
        max_iter=60, max_leaf_nodes=15, min_samples_leaf=40, categorical_features="from_dtype", random_state=seed
    )


def _inputs(features: pd.DataFrame, predictions: Floats, columns: tuple[str, ...]) -> pd.DataFrame:
    """Numbers as they are, everything else as codes that don't depend on which rows are there."""
    inputs = {}
    for name in columns:
        column = features[name]
        if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            inputs[name] = column.to_numpy(dtype=np.float64, na_value=np.nan)
        elif pd.api.types.is_datetime64_any_dtype(column):
            inputs[name] = column.to_numpy(dtype="datetime64[s]").astype(np.float64)
        else:
            hashed = pd.util.hash_array(column.astype(object).where(column.notna(), "").to_numpy(dtype=object))
            inputs[name] = (hashed % 1024).astype(np.float64)
    return pd.DataFrame({**inputs, "_prediction": predictions})
