"""The metrics, each equal to scikit-learn's value and fast under many weightings of the same rows.

A metric is prepared once for its rows (sorted, losses worked out); the prepared form then gives the value
for each of many weightings, which is what a bootstrap needs. Values that the data doesn't define (AUC with
one class) are NaN there, and an error in `score`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import DataError
from everfit.blocks.metrics import METRICS, MetricFacts, TaskKind, metric_facts

Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.int64] | Floats
Weighted = Callable[[Weights], Floats]
"""Values of a metric, shape (weightings,), from weights, shape (weightings, rows)."""
Prepare = Callable[[Floats, Floats], Weighted]

DECISION_THRESHOLD = 0.5
"""A row is called positive above it, as `predict` of scikit-learn's classifiers does."""


@dataclass(frozen=True)
class Metric:
    """A metric of the registry.

    Attributes:
        facts: Tasks it serves, direction and range.
        prepare: From checked labels and scores to the value under many weightings.
    """

    facts: MetricFacts
    prepare: Prepare

    @property
    def name(self) -> str:
        """scikit-learn's word for it."""
        return self.facts.name

    @property
    def tasks(self) -> frozenset[TaskKind]:
        """The kinds of task that it serves."""
        return self.facts.tasks

    @property
    def greater_is_better(self) -> bool:
        """False for losses and errors."""
        return self.facts.greater_is_better

    @property
    def needs_classes(self) -> bool:
        """Whether labels are classes."""
        return "regression" not in self.tasks

    def gain(self, new: float, old: float) -> float:
        """The difference between two values, positive when `new` is the better one."""
        return new - old if self.greater_is_better else old - new

    def score(self, y: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
        """The value that scikit-learn gives for these rows.

        Args:
            y: Labels, shape (n,): 0 or 1, class index, or number.
            scores: Probability of class 1 (n,), probabilities of all classes (n, k), or predictions (n,).
            weights: Weight of each row, shape (n,); all equal if not given.

        Raises:
            DataError: empty or mismatched input, NaN, impossible labels or probabilities, or a value that
                these rows don't define, such as AUC with one class.
        """
        labels, checked = self.check(y, scores)
        row_weights = check_weights(weights, labels.size)
        value = float(self.prepare(labels, checked)(row_weights[None, :])[0])
        if not np.isfinite(value):
            raise DataError(
                f"{self.name} is not defined on these {labels.size} rows (labels: {_labels(labels)}); "
                "take more rows, or a metric that needs no rows of every class"
            )
        return value

    def check(self, y: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Labels and scores as float arrays of fitting shapes.

        Raises:
            DataError: as for `score`, apart from values that the rows don't define.
        """
        labels, checked = _floats(y, "labels"), _floats(scores, "scores")
        if labels.ndim != 1 or labels.size == 0:
            raise DataError(f"labels have the shape {labels.shape!r}; give a vector with at least one row")
        if checked.shape[:1] != labels.shape or checked.ndim not in self._dimensions:
            raise DataError(f"scores of shape {checked.shape!r} don't fit {labels.size} labels for {self.name}")
        if not self.needs_classes:
            return labels, checked
        classes = checked.shape[1] if checked.ndim == 2 else 2
        if not np.isin(labels, np.arange(classes)).all():
            raise DataError(f"labels {_labels(labels)} are not class indexes below {classes}; encode them first")
        outside = checked[(checked < 0) | (checked > 1)]
        if outside.size and self.name not in _ONLY_RANKS:
            raise DataError(f"{float(outside[0])!r} among the scores is no probability; {self.name} needs [0, 1]")
        if checked.ndim == 2 and np.abs(checked.sum(axis=1) - 1).max() > 1e-4:
            raise DataError(f"probabilities of the classes don't add up to 1, which {self.name} needs")
        return labels, checked

    @property
    def _dimensions(self) -> set[int]:
        """1: a score per row; 2: a score per row and class."""
        return {dimension for task, dimension in _DIMENSION.items() if task in self.tasks}


_ONLY_RANKS = {"roc_auc", "average_precision"}
_DIMENSION: dict[TaskKind, int] = {"binary": 1, "multiclass": 2, "regression": 1}


def metric(name: str, task: TaskKind | None = None) -> Metric:
    """Look a metric up.

    Raises:
        DataError: there is no such metric, or it doesn't serve the task.

    Example:
        >>> metric("roc_auc").score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        0.75
    """
    try:
        return _REGISTRY[metric_facts(name, task).name]
    except ValueError as error:
        raise DataError(str(error)) from None


def metrics_for(task: TaskKind) -> list[Metric]:
    """All metrics that serve a kind of task, in the registry's order."""
    return [each for each in _REGISTRY.values() if task in each.tasks]


def check_weights(weights: npt.ArrayLike | None, rows: int) -> Weights:
    """Row weights as an array of shape (rows,); ones where none are given.

    Raises:
        DataError: wrong shape, negative, NaN or no weight above zero.
    """
    if weights is None:
        return np.ones(rows, dtype=np.int64)
    checked = _floats(weights, "weights")
    if checked.shape != (rows,) or (checked < 0).any() or not checked.any():
        raise DataError(f"weights of shape {checked.shape!r} for {rows} rows: give one per row, none negative, one > 0")
    return checked


def _floats(values: npt.ArrayLike, what: str) -> Floats:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"the {what} are not all numbers: {error}") from error
    bad = np.unique(np.argwhere(~np.isfinite(array))[:, :1])
    if bad.size:
        raise DataError(f"{bad.size} of {len(array)} {what} are NaN or infinite, the first in row {int(bad[0])}")
    return array


def _labels(y: Floats) -> str:
    values = np.unique(y)
    return ", ".join(f"{value:g}" for value in values[:5]) + (", …" if values.size > 5 else "")


# Metrics of sums: each row gives a few numbers, and the value is a function of their weighted sums.


def _of_sums(finish: Callable[[Floats], Floats], statistics: Callable[[Floats, Floats], list[Floats]]) -> Prepare:
    def prepare(y: Floats, scores: Floats) -> Weighted:
        columns: Floats = np.column_stack([np.ones_like(y), *statistics(y, scores)])

        def values(weights: Weights) -> Floats:
            with np.errstate(divide="ignore", invalid="ignore"):
                return finish((weights.astype(np.float64, copy=False) @ columns).T)

        return values

    return prepare


def _mean(loss: Callable[[Floats, Floats], Floats]) -> Prepare:
    return _of_sums(lambda sums: sums[1] / sums[0], lambda y, scores: [loss(y, scores)])


def _log_loss(y: Floats, scores: Floats) -> Floats:
    # Clipped as scikit-learn does: a certain and wrong prediction costs much, but not infinitely much.
    true = scores[np.arange(y.size), y.astype(np.intp)] if scores.ndim > 1 else np.where(y == 1, scores, 1 - scores)
    epsilon = np.finfo(np.float64).eps
    clipped: Floats = -np.log(np.clip(true, epsilon, 1 - epsilon))
    return clipped


def predicted_class(scores: Floats) -> Floats:
    """The class that a classifier would answer, as an index."""
    classes: Floats = (scores.argmax(axis=1) if scores.ndim > 1 else scores > DECISION_THRESHOLD).astype(np.float64)
    return classes


def is_correct(y: Floats, scores: Floats) -> Floats:
    """1.0 where the predicted class is the true one, else 0.0."""
    correct: Floats = (predicted_class(scores) == y).astype(np.float64)
    return correct


def _per_class(y: Floats, scores: Floats) -> list[Floats]:
    """For each class: hit, true, predicted."""
    classes = scores.shape[1] if scores.ndim > 1 else 2
    predicted = predicted_class(scores)
    columns = []
    for each in range(classes):
        true, called = y == each, predicted == each
        columns += [(true & called).astype(np.float64), true.astype(np.float64), called.astype(np.float64)]
    return columns


def _balanced_accuracy(sums: Floats) -> Floats:
    recalls = sums[1::3] / sums[2::3]
    return recalls.mean(axis=0) if len(recalls) == 2 else _mean_of_defined(recalls)


def _f1_macro(sums: Floats) -> Floats:
    return _mean_of_defined(2 * sums[1::3] / (sums[2::3] + sums[3::3]))


def _mean_of_defined(values: Floats) -> Floats:
    defined = ~np.isnan(values)
    mean: Floats = np.where(defined, values, 0.0).sum(axis=0) / defined.sum(axis=0)
    return mean


def _precision(sums: Floats) -> Floats:
    # A model that never says "positive" gets the worst value, as in scikit-learn.
    value: Floats = np.where(sums[6] > 0, sums[4] / sums[6], np.where(sums[5] > 0, 0.0, np.nan))
    return value


def _centred(y: Floats, scores: Floats) -> list[Floats]:
    around = y - y.mean()  # the variance of large numbers would drown in rounding otherwise
    return [(y - scores) ** 2, around, around**2]


def _r2(sums: Floats) -> Floats:
    spread = sums[3] - sums[2] ** 2 / sums[0]
    value: Floats = np.where(spread > 0, 1 - sums[1] / spread, np.nan)
    return value


# Metrics of ranks: sorted once, then each weighting is a cumulative sum in that order.


def _roc_auc(y: Floats, scores: Floats) -> Weighted:
    """AUC as the weighted share of (positive, negative) pairs in the right order, ties counting half.

    It is the Mann-Whitney statistic: D. Bamber, "The area above the ordinal dominance graph and the area below
    the receiver operating characteristic graph", Journal of Mathematical Psychology 12 (1975).
    """
    positive, negative = np.flatnonzero(y == 1), np.flatnonzero(y != 1)
    # By place in the sorted order too, so that the reads of the cumulative sum go forward in memory.
    positive = positive[np.argsort(scores[positive], kind="stable")]
    negative = negative[np.argsort(scores[negative], kind="stable")]
    below = np.searchsorted(scores[negative], scores[positive], side="left")
    not_above = np.searchsorted(scores[negative], scores[positive], side="right")
    tied = bool((below != not_above).any())

    def values(weights: Weights) -> Floats:
        cumulative = np.zeros((len(weights), negative.size + 1), dtype=weights.dtype)
        np.cumsum(weights.take(negative, axis=1), axis=1, out=cumulative[:, 1:])
        of_positive = weights.take(positive, axis=1)
        pairs = cumulative.take(below, axis=1)
        twice_ordered = pairs + (cumulative.take(not_above, axis=1) if tied else pairs)
        ordered = np.einsum("ij,ij->i", of_positive, twice_ordered) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            area: Floats = ordered / (of_positive.sum(axis=1).astype(np.float64) * cumulative[:, -1])
        return area

    return values


def _average_precision(y: Floats, scores: Floats) -> Weighted:
    """The sum of precision times the step in recall over the thresholds, equal scores being one threshold."""
    order = np.argsort(-scores, kind="stable")
    hit, ends = (y[order] == 1), np.append(np.flatnonzero(np.diff(scores[order])), y.size - 1)

    def values(weights: Weights) -> Floats:
        ordered = weights.take(order, axis=1)
        called = np.cumsum(ordered, axis=1).take(ends, axis=1)
        hits = np.cumsum(ordered * hit, axis=1).take(ends, axis=1)
        steps = np.diff(hits, axis=1, prepend=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            precision = np.where(called > 0, hits / called, 0.0)
            area: Floats = np.einsum("ij,ij->i", steps, precision) / hits[:, -1]
        return area

    return values


def _roc_auc_ovr(y: Floats, scores: Floats) -> Weighted:
    """Mean over the classes of the AUC of that class against the rest; all classes must be there."""
    areas = [_roc_auc((y == each).astype(np.float64), scores[:, each]) for each in range(scores.shape[1])]

    def values(weights: Weights) -> Floats:
        mean: Floats = np.mean([area(weights) for area in areas], axis=0)
        return mean

    return values


def _absolute(y: Floats, scores: Floats) -> Floats:
    return np.abs(y - scores)


def _squared(y: Floats, scores: Floats) -> Floats:
    squared: Floats = (y - scores) ** 2
    return squared


def _relative(y: Floats, scores: Floats) -> Floats:
    relative: Floats = np.abs(y - scores) / np.maximum(np.abs(y), np.finfo(np.float64).eps)
    return relative


_counted = partial(_of_sums, statistics=_per_class)
_PREPARE: dict[str, Prepare] = {
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "f1": _counted(lambda sums: 2 * sums[4] / (sums[5] + sums[6])),
    "precision": _counted(_precision),
    "recall": _counted(lambda sums: sums[4] / sums[5]),
    "brier": _mean(_squared),
    "log_loss": _mean(_log_loss),
    "accuracy": _mean(is_correct),
    "balanced_accuracy": _counted(_balanced_accuracy),
    "f1_macro": _counted(_f1_macro),
    "roc_auc_ovr": _roc_auc_ovr,
    "rmse": _of_sums(lambda sums: np.sqrt(sums[1] / sums[0]), lambda y, scores: [_squared(y, scores)]),
    "mse": _mean(_squared),
    "mae": _mean(_absolute),
    "mape": _mean(_relative),
    "r2": _of_sums(_r2, _centred),
}
_REGISTRY: dict[str, Metric] = {name: Metric(facts, _PREPARE[name]) for name, facts in METRICS.items()}
