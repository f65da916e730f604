"""Quality of a classifier without labels: what a metric would be if a score still meant what it meant on the hold-out.

Confidence-based performance estimation: calibrated probabilities say how often a row with this score is positive, and
so what confusion matrix, and what order of pairs, to expect: J. Kivimäki et al., "Confidence-based Estimators for
Predictive Performance in Model Monitoring", Journal of Artificial Intelligence Research 82 (2025); calibration by
isotonic regression: B. Zadrozny and C. Elkan, "Transforming classifier scores into accurate multiclass probability
estimates", KDD (2002).

Where kinds of rows change their shares, the reference is weighted by how often such rows are there now
(`everfit.tasks.monitoring.signals.covariate_shift`).

It sees a change of the inputs. It cannot see a change of the concept: when the same input comes to mean another
outcome, the scores are as confident as before, and so is the estimate. So a track record earns or loses trust as
labels arrive.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import DataError, NotEnoughError
from everfit.tasks.monitoring.signals.covariate_shift import CovariateShift
from everfit.tasks.monitoring.signals.estimate_error import chunk_errors, error_on_rows
from everfit.tasks.statistics.estimate_trust import EstimatedQuality, TrackRecord, estimated
from everfit.tasks.statistics.metrics import Floats, metric

_DRAWS = 20


@dataclass(frozen=True)
class ConfidenceEstimator:
    """Confidence-based estimation for a classifier; it can't see concept drift.

    Attributes:
        name: The name of the metric.
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
            name: The name of the metric.

        Raises:
            DataError: the metric is not for classes, or there are too few rows.
        """
        labels, values = metric(name).check(y, scores)
        if not metric(name).needs_classes:
            raise DataError(f"{name!r} is not estimated from confidence; use LossEstimator for regression")
        rows, errors = chunk_errors(
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
            confidence: The confidence of the band.
            shift: How the rows have moved since the reference, by which its rows are weighted; by default not at all.

        Raises:
            DataError: no rows.
        """
        values = np.asarray(scores, dtype=np.float64)
        if values.shape[0] == 0:
            raise NotEnoughError("there are no rows to estimate quality for; wait for predictions")
        error = error_on_rows(self.chunk_error, self.chunk_rows, values.shape[0])
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
