"""Quality without labels: what a metric would be if the past's relation of score to outcome still held.

Classification: confidence-based performance estimation. Calibrated probabilities say how often a row with this score is
positive, and so what confusion matrix, and what order of pairs, to expect: J. Kivimäki et al., "Confidence-based
Estimators for Predictive Performance in Model Monitoring", Journal of Artificial Intelligence Research 82 (2025);
calibration by isotonic regression: B. Zadrozny and C. Elkan, "Transforming classifier scores into accurate multiclass
probability estimates", KDD (2002).

Regression: direct loss estimation. A second model learns from the hold-out how large the first one's error is where;
the method's name is NannyML's.

Where kinds of rows change their shares, the reference is weighted by how often such rows are there now
(`everfit.tasks.monitoring.signals.covariate_shift`).

Both see a change of the inputs. Neither can see a change of the concept: when the same input comes to mean another
outcome, the scores are as confident as before, and so is the estimate. So a track record earns or
loses trust as labels arrive.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import DataError, NotEnoughError
from everfit.tasks.monitoring.signals.covariate_shift import CovariateShift
from everfit.tasks.statistics.estimate_trust import EstimatedQuality, TrackRecord, estimated
from everfit.tasks.statistics.metrics import Floats, metric

DLE_METRICS = {"mae", "mape", "mse", "rmse"}
"""Metrics that are a mean of what each row loses."""

_DRAWS = 20
_CHUNKS = 10
"""Into so many stretches the reference is cut, to see how far an estimate is off."""


@dataclass(frozen=True)
class ConfidenceEstimator:
    """Confidence-based estimation for a classifier; it can't see concept drift.

    Attributes:
        name: Of the metric.
        calibrators: One isotonic regression per class; for a binary model one.
        chunk_rows: Rows of a stretch of the reference.
        chunk_error: Root mean squared error of the estimate on such a stretch.
        labels: Labels of the reference, shape (n,).
        scores: The model's scores of it, shape (n,) or (n, classes).
    """

    name: str
    calibrators: tuple[Any, ...]
    chunk_rows: int
    chunk_error: float
    labels: Floats
    scores: Floats

    @classmethod
    def fit(cls, y: npt.ArrayLike, scores: npt.ArrayLike, name: str) -> "ConfidenceEstimator":
        """Learn from reference rows that the model has not been trained on how often which score is right.

        Args:
            y: Labels, shape (n,), in the order of event time.
            scores: The model's scores, shape (n,) or (n, classes).
            name: Of the metric.

        Raises:
            DataError: the metric is not for classes, or there are too few rows.
        """
        labels, values = metric(name).check(y, scores)
        if not metric(name).needs_classes:
            raise DataError(f"{name!r} is not estimated from confidence; use LossEstimator for regression")
        rows, errors = _errors(
            labels.size,
            lambda train, test: _expected(name, _calibrate(labels[train], values[train]), values[test]),
            lambda test: metric(name).score(labels[test], values[test]),
        )
        return cls(name, _calibrate(labels, values), rows, errors, labels, values)

    def estimate(
        self,
        scores: npt.ArrayLike,
        record: TrackRecord | None = None,
        *,
        confidence: float = 0.95,
        shift: CovariateShift | None = None,
    ) -> EstimatedQuality:
        """Estimate the metric on rows without labels.

        Args:
            scores: The model's scores, shape (n,) or (n, classes).
            record: How well past estimates agreed with the labels.
            confidence: Of the band.
            shift: How the rows have moved since the reference, by which its rows are weighted; by default not at all.

        Raises:
            DataError: no rows.
        """
        values = np.asarray(scores, dtype=np.float64)
        if values.shape[0] == 0:
            raise NotEnoughError("there are no rows to estimate quality for; wait for predictions")
        error = _scaled(self.chunk_error, self.chunk_rows, values.shape[0])
        if shift is None:
            value = self.expected(values)
        else:
            value, of_weights = self._weighted(values, shift)
            error = math.hypot(error, of_weights)
        return estimated("cbpe", self.name, values.shape[0], value, error, record=record, confidence=confidence)

    def _weighted(self, values: Floats, shift: CovariateShift) -> tuple[float, float]:
        """Return the metric by calibrators of the weighted reference, and the error of these."""
        labels, scores = self.labels[shift.rows], self.scores[shift.rows]
        value = _expected(self.name, _calibrate(labels, scores, shift.weights), values)
        random, drawn = np.random.default_rng(0), []
        for _ in range(_DRAWS):
            rows = random.integers(0, len(labels), len(labels))
            try:
                calibrators = _calibrate(labels[rows], scores[rows], shift.weights[rows])
                drawn.append(_expected(self.name, calibrators, values))
            except NotEnoughError:  # a draw with one class
                continue
        if len(drawn) < _DRAWS / 2:
            raise NotEnoughError("the weighted reference has too few rows of some class to estimate quality from")
        return value, float(np.std(drawn))

    def chances(self, scores: npt.ArrayLike) -> Floats:
        """Return the calibrated probability of each class; shape (n, classes).

        Args:
            scores: The model's scores, shape (n,) or (n, classes).
        """
        return _chances(self.calibrators, np.asarray(scores, dtype=np.float64))

    def expected(self, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
        """Return the metric's value over all outcomes that rows may have.

        Args:
            scores: The model's scores, shape (n,) or (n, classes).
            weights: Weight of each row, shape (n,); by default all are equal.
        """
        values = np.asarray(scores, dtype=np.float64)
        return _expected(self.name, self.calibrators, values, None if weights is None else np.asarray(weights))


@dataclass(frozen=True)
class LossEstimator:
    """Direct loss estimation for a regression model; it can't see concept drift.

    Attributes:
        name: Of the metric.
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
            name: Of the metric: mae, mape, mse or rmse.
            seed: Of the second model.

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

        rows, errors = _errors(
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
            confidence: Of the band.

        Raises:
            DataError: no rows, or a feature is missing.
        """
        if missing := [name for name in self.columns if name not in features.columns]:
            raise DataError(f"the feature {missing[0]!r} is missing; it was there in the reference")
        if features.empty:
            raise NotEnoughError("there are no rows to estimate quality for; wait for predictions")
        inputs = _inputs(features, np.asarray(predictions, dtype=np.float64), self.columns)
        value = _of_losses(self.name, self.model.predict(inputs))
        error = _scaled(self.chunk_error, self.chunk_rows, len(inputs))
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


def _calibrate(y: Floats, scores: Floats, weights: Floats | None = None) -> tuple[Any, ...]:
    from sklearn.isotonic import IsotonicRegression

    columns = scores[:, None] if scores.ndim == 1 else scores
    positives = [1] if scores.ndim == 1 else range(scores.shape[1])
    return tuple(
        IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(column, y == positive, weights)
        for column, positive in zip(columns.T, positives, strict=True)
    )


def _expected(name: str, calibrators: tuple[Any, ...], scores: Floats, row_weights: Floats | None = None) -> float:
    """The metric's value over all outcomes that the rows may have, each weighted by its probability.

    Each row occurs once per class, with the calibrated probability of that class for a weight: metrics of
    the confusion matrix then have expected counts in it, and rank metrics expected pairs.
    """
    chances = _chances(calibrators, scores)
    if row_weights is not None:
        chances = chances * row_weights[:, None]
    rows, classes = chances.shape
    labels = np.repeat(np.arange(classes, dtype=np.float64), rows)
    weights = chances.T.ravel()
    kept = weights > 0
    return metric(name).score(labels[kept], np.concatenate([scores] * classes)[kept], weights[kept])


def _chances(calibrators: tuple[Any, ...], scores: Floats) -> Floats:
    """Return the calibrated probability of each class; shape (rows, classes)."""
    columns = scores[:, None] if scores.ndim == 1 else scores
    calibrated = np.column_stack(
        [calibrator.predict(column) for calibrator, column in zip(calibrators, columns.T, strict=True)]
    )
    if scores.ndim == 1:
        return np.column_stack([1 - calibrated[:, 0], calibrated[:, 0]])
    totals = calibrated.sum(axis=1, keepdims=True)
    return np.where(totals > 0, calibrated / np.where(totals > 0, totals, 1), scores)


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


def _errors(rows: int, estimate: Any, realise: Any, *, folds: int = 5) -> tuple[int, float]:
    """How far estimates are off on stretches of the reference that they weren't fitted on.

    Returns:
        Rows of a stretch, and the root of the mean squared difference between estimate and truth.
    """
    size = rows // _CHUNKS
    if size < 30:
        raise NotEnoughError(
            f"{rows:,} reference rows are too few to estimate quality from; give {30 * _CHUNKS:,} or more"
        )
    order = np.arange(rows)
    differences = []
    for fold in range(folds):
        held = np.array_split(order, folds)[fold]
        train = np.setdiff1d(order, held)
        for chunk in np.array_split(held, max(1, held.size // size)):
            try:
                differences.append(estimate(train, chunk) - realise(chunk))
            except NotEnoughError:  # a stretch with one class only
                continue
    if len(differences) < 3:
        raise NotEnoughError("the reference has too few rows of some class to see how far estimates are off")
    return size, float(np.sqrt(np.mean(np.square(differences))))


def _scaled(chunk_error: float, chunk_rows: int, rows: int) -> float:
    """The error for so many rows: smaller for more, but never below a third, as part of it isn't chance."""
    return chunk_error * max(math.sqrt(chunk_rows / rows), 1 / 3)
