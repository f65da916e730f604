"""Compute metrics for many weightings of the same rows at once, as a bootstrap needs.

A metric is prepared once for its rows (sorted, with losses computed) and then gives its value for each weighting: a
weight of 2 counts the row twice. A value that a weighting doesn't define (AUC with one class) is NaN.
"""

from collections.abc import Callable
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.int64] | Floats
Weighted = Callable[[Weights], Floats]
"""Function from weights, shape (weightings, rows), to values of a metric, shape (weightings,)."""
Prepare = Callable[[Floats, Floats], Weighted]
"""Function from checked labels and scores to the prepared metric."""
Groups = npt.NDArray[np.int64]


@runtime_checkable
class LeavesOut(Protocol):
    """A prepared metric that knows its values without each group of rows, without a weighting for each."""

    def __call__(self, weights: Weights) -> Floats:
        """Return the value for each weighting; shape (weightings,)."""

    def without_each(self, groups: Groups, count: int) -> Floats:
        """Return the value without each group.

        Args:
            groups: Number of each row's group, from 0 on; shape (rows,).
            count: Number of groups.

        Returns:
            Shape (groups,).
        """


DECISION_THRESHOLD = 0.5
"""A row with a greater score is positive, as in `predict` of scikit-learn's classifiers."""


# Metrics of sums: each row gives a few numbers, and the value is a function of their weighted sums.


class _Sums:
    """A metric that is a function of weighted sums over rows."""

    def __init__(self, columns: list[Floats], finish: Callable[[Floats], Floats]) -> None:
        self.columns, self.finish = columns, finish

    def __call__(self, weights: Weights) -> Floats:
        counted = weights.astype(np.float64, copy=False)
        # Avoid a matrix product: its threads would compete, and its rounding depends on their number.
        return self._finished(np.stack([np.einsum("ij,j->i", counted, column) for column in self.columns]))

    def without_each(self, groups: Groups, count: int) -> Floats:
        return self._finished(
            np.stack([column.sum() - np.bincount(groups, column, minlength=count) for column in self.columns])
        )

    def _finished(self, sums: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.finish(sums)


def _of_sums(finish: Callable[[Floats], Floats], statistics: Callable[[Floats, Floats], list[Floats]]) -> Prepare:
    return lambda y, scores: _Sums([np.ones_like(y), *statistics(y, scores)], finish)


def mean_of_rows(loss: Callable[[Floats, Floats], Floats]) -> Prepare:
    """Return the metric that is the mean of a number of each row.

    Args:
        loss: Function from labels and scores to the numbers; shape (rows,).
    """
    return _of_sums(lambda sums: sums[1] / sums[0], lambda y, scores: [loss(y, scores)])


def _log_loss(y: Floats, scores: Floats) -> Floats:
    # Clip like scikit-learn: a certain and wrong prediction costs much, but not infinitely much.
    true = scores[np.arange(y.size), y.astype(np.intp)] if scores.ndim > 1 else np.where(y == 1, scores, 1 - scores)
    epsilon = np.finfo(np.float64).eps
    clipped: Floats = -np.log(np.clip(true, epsilon, 1 - epsilon))
    return clipped


def predicted_class(scores: Floats) -> Floats:
    """Return the index of the predicted class; shape (rows,)."""
    classes: Floats = (scores.argmax(axis=1) if scores.ndim > 1 else scores > DECISION_THRESHOLD).astype(np.float64)
    return classes


def is_correct(y: Floats, scores: Floats) -> Floats:
    """Return 1.0 where the predicted class is the true one, else 0.0; shape (rows,)."""
    correct: Floats = (predicted_class(scores) == y).astype(np.float64)
    return correct


# Metrics of the confusion matrix, shape (weightings, true class, predicted class).


class _Confusion:
    """A metric of the confusion matrix."""

    def __init__(self, y: Floats, scores: Floats, finish: Callable[[Floats], Floats]) -> None:
        self.classes, self.finish = scores.shape[1] if scores.ndim > 1 else 2, finish
        self.cell = (y * self.classes + predicted_class(scores)).astype(np.intp)

    def __call__(self, weights: Weights) -> Floats:
        cells = self.cell + self.classes**2 * np.arange(len(weights))[:, None]
        counts = np.bincount(cells.ravel(), weights.ravel(), minlength=len(weights) * self.classes**2)
        return self._finished(counts.astype(np.float64, copy=False))

    def without_each(self, groups: Groups, count: int) -> Floats:
        cells = self.classes**2
        by_group = np.bincount(groups * cells + self.cell, minlength=count * cells).reshape(count, cells)
        return self._finished((by_group.sum(axis=0) - by_group).astype(np.float64))

    def _finished(self, counts: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.finish(counts.reshape(-1, self.classes, self.classes))


def _of_confusion(finish: Callable[[Floats], Floats]) -> Prepare:
    return lambda y, scores: _Confusion(y, scores, finish)


def _balanced_accuracy(confusion: Floats) -> Floats:
    recalls = _hits(confusion) / confusion.sum(axis=2)
    both: Floats = recalls.mean(axis=1)
    return both if recalls.shape[1] == 2 else _mean_of_defined(recalls)  # a binary problem needs both classes


def _f1_macro(confusion: Floats) -> Floats:
    return _mean_of_defined(2 * _hits(confusion) / (confusion.sum(axis=1) + confusion.sum(axis=2)))


def _hits(confusion: Floats) -> Floats:
    return np.diagonal(confusion, axis1=1, axis2=2)


def _mean_of_defined(values: Floats) -> Floats:
    defined = ~np.isnan(values)
    mean: Floats = np.where(defined, values, 0.0).sum(axis=1) / defined.sum(axis=1)
    return mean


def _f1(confusion: Floats) -> Floats:
    value: Floats = 2 * confusion[:, 1, 1] / (confusion[:, 1, :].sum(axis=1) + confusion[:, :, 1].sum(axis=1))
    return value


def _recall(confusion: Floats) -> Floats:
    value: Floats = confusion[:, 1, 1] / confusion[:, 1, :].sum(axis=1)
    return value


def _precision(confusion: Floats) -> Floats:
    # A model that never predicts "positive" gets the worst value, as in scikit-learn.
    called, undefined = confusion[:, :, 1].sum(axis=1), np.where(confusion[:, 1, :].sum(axis=1) > 0, 0.0, np.nan)
    value: Floats = np.where(called > 0, confusion[:, 1, 1] / called, undefined)
    return value


def _centred(y: Floats, scores: Floats) -> list[Floats]:
    around = y - y.mean()  # without this, rounding would swamp the variance of large numbers
    return [(y - scores) ** 2, around, around**2]


def _r2(sums: Floats) -> Floats:
    spread = sums[3] - sums[2] ** 2 / sums[0]
    value: Floats = np.where(spread > 0, 1 - sums[1] / spread, np.nan)
    return value


# Metrics of ranks: sorted once, then each weighting is a cumulative sum in that order.


class _RocAuc:
    """AUC: the weighted share of (positive, negative) pairs in the right order; ties count half.

    It is the Mann-Whitney statistic: D. Bamber, "The area above the ordinal dominance graph and the area below
    the receiver operating characteristic graph", Journal of Mathematical Psychology 12 (1975).
    """

    def __init__(self, y: Floats, scores: Floats) -> None:
        positive, negative = np.flatnonzero(y == 1), np.flatnonzero(y != 1)
        # Order by position in the sorted rows too, so that the cumulative sum is read forward in memory.
        self.positive = positive[np.argsort(scores[positive], kind="stable")]
        self.negative = negative[np.argsort(scores[negative], kind="stable")]
        self.scores = scores
        self.below = np.searchsorted(scores[self.negative], scores[self.positive], side="left")
        self.not_above = np.searchsorted(scores[self.negative], scores[self.positive], side="right")
        self.tied = bool((self.below != self.not_above).any())

    def __call__(self, weights: Weights) -> Floats:
        cumulative = np.zeros((len(weights), self.negative.size + 1), dtype=weights.dtype)
        np.cumsum(weights.take(self.negative, axis=1), axis=1, out=cumulative[:, 1:])
        of_positive = weights.take(self.positive, axis=1)
        pairs = cumulative.take(self.below, axis=1)
        twice_ordered = pairs + (cumulative.take(self.not_above, axis=1) if self.tied else pairs)
        ordered = np.einsum("ij,ij->i", of_positive, twice_ordered) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            area: Floats = ordered / (of_positive.sum(axis=1).astype(np.float64) * cumulative[:, -1])
        return area

    def without_each(self, groups: Groups, count: int) -> Floats:
        # A group takes its pairs with all rows away; those among its own rows are counted twice by that.
        of_positive, of_negative = groups[self.positive], groups[self.negative]
        twice = np.asarray(self.below + self.not_above, dtype=np.int64)
        other_way = 2 * self.positive.size - _twice_below(self.scores[self.positive], self.scores[self.negative])
        lost = _sums_of(of_positive, twice, count) + _sums_of(of_negative, other_way, count)
        by_group = [np.argsort(members, kind="stable") for members in (of_positive, of_negative)]
        ends = [np.cumsum(np.bincount(members, minlength=count))[:-1] for members in (of_positive, of_negative)]
        parts = [
            np.split(self.scores[rows[order]], end)
            for rows, order, end in zip((self.positive, self.negative), by_group, ends, strict=True)
        ]
        own = np.array([int(_twice_below(low, high).sum()) for high, low in zip(*parts, strict=True)], dtype=np.int64)
        positives = self.positive.size - np.bincount(of_positive, minlength=count)
        negatives = self.negative.size - np.bincount(of_negative, minlength=count)
        with np.errstate(divide="ignore", invalid="ignore"):
            area: Floats = (int(twice.sum()) - lost + own) / (2.0 * positives * negatives)
        return area


def _twice_below(sorted_values: Floats, values: Floats) -> Groups:
    """Return for each value twice the number of sorted values below it; an equal one counts half."""
    sides: tuple[Literal["left"], Literal["right"]] = ("left", "right")
    left, right = (np.searchsorted(sorted_values, values, side=side) for side in sides)
    return np.asarray(left + right, dtype=np.int64)


def _sums_of(groups: Groups, values: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Return the exact sum of whole numbers in each group; shape (groups,)."""
    sums = np.zeros(count, dtype=np.int64)
    np.add.at(sums, groups, values)
    return sums


def _average_precision(y: Floats, scores: Floats) -> Weighted:
    """Sum precision times the step in recall over the thresholds; equal scores share a threshold."""
    order = np.argsort(-scores, kind="stable")
    positive = order[y[order] == 1]
    # Recall changes only at the scores of positives: count rows and positives up to each of them.
    steps = np.unique(-scores[positive])
    rows_at = np.searchsorted(-scores[order], steps, side="right") - 1
    positives_at = np.searchsorted(-scores[positive], steps, side="right") - 1

    def values(weights: Weights) -> Floats:
        if positive.size == 0:
            return np.full(len(weights), np.nan)
        called = np.cumsum(weights.take(order, axis=1), axis=1).take(rows_at, axis=1)
        hits = np.cumsum(weights.take(positive, axis=1), axis=1).take(positives_at, axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            precision = np.where(called > 0, hits / called, 0.0)
            area: Floats = np.einsum("ij,ij->i", np.diff(hits, axis=1, prepend=0), precision) / hits[:, -1]
        return area

    return values


class _RocAucOvr:
    """The average over the classes of the AUC of each class against the rest; every class must occur."""

    def __init__(self, y: Floats, scores: Floats) -> None:
        self.areas = [_RocAuc((y == label).astype(np.float64), scores[:, label]) for label in range(scores.shape[1])]

    def __call__(self, weights: Weights) -> Floats:
        mean: Floats = np.mean([area(weights) for area in self.areas], axis=0)
        return mean

    def without_each(self, groups: Groups, count: int) -> Floats:
        mean: Floats = np.mean([area.without_each(groups, count) for area in self.areas], axis=0)
        return mean


def _absolute(y: Floats, scores: Floats) -> Floats:
    return np.abs(y - scores)


def _squared(y: Floats, scores: Floats) -> Floats:
    squared: Floats = (y - scores) ** 2
    return squared


def _relative(y: Floats, scores: Floats) -> Floats:
    relative: Floats = np.abs(y - scores) / np.maximum(np.abs(y), np.finfo(np.float64).eps)
    return relative


PREPARE: dict[str, Prepare] = {
    "roc_auc": _RocAuc,
    "average_precision": _average_precision,
    "f1": _of_confusion(_f1),
    "precision": _of_confusion(_precision),
    "recall": _of_confusion(_recall),
    "brier": mean_of_rows(_squared),
    "log_loss": mean_of_rows(_log_loss),
    "accuracy": mean_of_rows(is_correct),
    "balanced_accuracy": _of_confusion(_balanced_accuracy),
    "f1_macro": _of_confusion(_f1_macro),
    "roc_auc_ovr": _RocAucOvr,
    "rmse": _of_sums(lambda sums: np.sqrt(sums[1] / sums[0]), lambda y, scores: [_squared(y, scores)]),
    "mse": mean_of_rows(_squared),
    "mae": mean_of_rows(_absolute),
    "mape": mean_of_rows(_relative),
    "r2": _of_sums(_r2, _centred),
}
"""By scikit-learn's word for the metric."""
