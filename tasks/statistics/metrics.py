"""Compute metrics that equal scikit-learn's; a value that the data doesn't define is an error, never a number."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import DataError, NotEnoughError
from everfit.blocks.metrics import METRICS, MetricFacts, TaskKind, is_own_metric, metric_facts
from everfit.tasks.statistics.own_metrics import OwnMetric, load_own_metric
from everfit.tasks.statistics.weighted_metrics import PREPARE, Floats, Prepare, Weights

__all__ = ["Floats", "Metric", "Weights", "check_weights", "metric"]


@dataclass(frozen=True)
class Metric:
    """A metric of everfit, or of the user's own.

    Attributes:
        facts: Tasks, direction and range of the metric.
        prepare: Function from checked labels and scores to the value under many weightings.
        own: The user's function; None for a metric of everfit.
    """

    facts: MetricFacts
    prepare: Prepare
    own: OwnMetric | None = None

    @property
    def name(self) -> str:
        """Return scikit-learn's name of the metric, or the user's name as in the spec."""
        return self.facts.name

    @property
    def tasks(self) -> frozenset[TaskKind]:
        """Return the kinds of prediction that it can measure."""
        return self.facts.tasks

    @property
    def greater_is_better(self) -> bool:
        """Return False for losses and errors."""
        return self.facts.greater_is_better

    @property
    def takes_weights(self) -> bool:
        """Return whether rows may have weights that aren't counts."""
        return self.own is None or self.own.takes_weights

    @property
    def needs_classes(self) -> bool:
        """Return whether labels are classes."""
        return "regression" not in self.tasks

    def gain(self, new: float, old: float) -> float:
        """Return the difference between two values, positive if `new` is better."""
        return new - old if self.greater_is_better else old - new

    def score(self, y: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None = None) -> float:
        """Return the value that scikit-learn computes for these rows.

        Args:
            y: Labels: 0 or 1, class index, or number; shape (n,).
            scores: Probability of class 1 (n,), probabilities of all classes (n, k), or predictions (n,).
            weights: Weight of each row; shape (n,). By default all are equal.

        Returns:
            The metric's value.

        Raises:
            MetricError: The user's own metric raises, or returns anything but a number in its range.
            DataError: If the input is empty, mismatched or has NaN, labels or probabilities are impossible, or these
                rows don't define the value, such as AUC with one class.
        """
        labels, checked = self.check(y, scores)
        if self.own is not None:
            return self.own.value(labels, checked, None if weights is None else check_weights(weights, labels.size))
        row_weights = check_weights(weights, labels.size)
        value = float(self.prepare(labels, checked)(row_weights[None, :])[0])
        if not np.isfinite(value):
            raise NotEnoughError(
                f"{self.name} is not defined on these {labels.size} rows (labels: {_labels(labels)}); "
                "use more rows, or a metric that needs no rows of every class"
            )
        return value

    def check(self, y: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Convert labels and scores to float arrays of fitting shapes.

        Raises:
            DataError: As in `score`, except for values that the rows don't define.
        """
        labels, checked = _floats(y, "labels"), _floats(scores, "scores")
        if labels.shape == (0,):
            raise NotEnoughError("there are no labels")
        if labels.ndim != 1:
            raise DataError(f"labels have the shape {labels.shape!r}; provide a vector with at least one row")
        if checked.shape[:1] != labels.shape or checked.ndim not in self._dimensions:
            raise DataError(f"scores of shape {checked.shape!r} don't fit {labels.size} labels for {self.name}")
        if not self.needs_classes:
            return labels, checked
        classes = checked.shape[1] if checked.ndim == 2 else 2
        if not ((labels >= 0) & (labels < classes) & (labels == np.floor(labels))).all():
            raise DataError(f"labels {_labels(labels)} are not class indexes below {classes}; encode them first")
        only_ranks = self.facts.reads == "order" and checked.ndim == 1
        if not only_ranks and (outside := checked[(checked < 0) | (checked > 1)]).size:
            raise DataError(f"{float(outside[0])!r} among the scores is not a probability; {self.name} needs [0, 1]")
        if checked.ndim == 2 and np.abs(checked.sum(axis=1) - 1).max() > 1e-4:
            raise DataError(f"probabilities of the classes don't add up to 1, which {self.name} needs")
        return labels, checked

    @property
    def _dimensions(self) -> set[int]:
        """Return 1 for a score per row, and 2 for a score per row and class."""
        return {dimension for task, dimension in _DIMENSION.items() if task in self.tasks}


_DIMENSION: dict[TaskKind, int] = {"binary": 1, "multiclass": 2, "regression": 1}


def metric(name: str, task: TaskKind | None = None) -> Metric:
    """Look up a metric by its name in a spec.

    Args:
        name: scikit-learn's name, `package.module:function`, or the name of an entry point.
        task: Kind of prediction that it has to measure; by default any.

    Raises:
        DataError: If there is no such metric, it can't measure the task, or a user's metric can't be loaded.

    Example:
        >>> metric("roc_auc").score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        0.75
    """
    if is_own_metric(name):
        own = load_own_metric(name, task)
        return Metric(own.facts, own.prepare, own)
    try:
        return _REGISTRY[metric_facts(name, task).name]
    except ValueError as error:
        raise DataError(str(error)) from None


def check_weights(weights: npt.ArrayLike | None, rows: int) -> Weights:
    """Return row weights as an array of shape (rows,); by default ones.

    Raises:
        DataError: If the shape is wrong, or a weight is negative or NaN, or none is above zero.
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
    if not np.isfinite(array).all():
        bad = np.unique(np.argwhere(~np.isfinite(array))[:, :1])
        raise DataError(f"{bad.size} of {len(array)} {what} are NaN or infinite, the first in row {int(bad[0])}")
    return array


def _labels(y: Floats) -> str:
    values = np.unique(y)
    return ", ".join(f"{value:g}" for value in values[:5]) + (", …" if values.size > 5 else "")


_REGISTRY: dict[str, Metric] = {name: Metric(facts, PREPARE[name]) for name, facts in METRICS.items()}
