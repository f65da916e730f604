"""The metrics, each equal to scikit-learn's value; what data doesn't define is an error, never a number."""

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
        facts: Tasks it serves, direction and range.
        prepare: From checked labels and scores to the value under many weightings.
        own: The user's function; None for a metric of everfit.
    """

    facts: MetricFacts
    prepare: Prepare
    own: OwnMetric | None = None

    @property
    def name(self) -> str:
        """scikit-learn's word for it, or the user's own name as the spec has it."""
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
    def takes_weights(self) -> bool:
        """Whether rows may have weights that are no counts."""
        return self.own is None or self.own.takes_weights

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
            MetricError: The user's own metric raises, or returns anything but a number in its range.
            DataError: empty or mismatched input, NaN, impossible labels or probabilities, or a value that
                these rows don't define, such as AUC with one class.
        """
        labels, checked = self.check(y, scores)
        if self.own is not None:
            return self.own.value(labels, checked, None if weights is None else check_weights(weights, labels.size))
        row_weights = check_weights(weights, labels.size)
        value = float(self.prepare(labels, checked)(row_weights[None, :])[0])
        if not np.isfinite(value):
            raise NotEnoughError(
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
        if labels.shape == (0,):
            raise NotEnoughError("there are no labels; give a vector with at least one row")
        if labels.ndim != 1:
            raise DataError(f"labels have the shape {labels.shape!r}; give a vector with at least one row")
        if checked.shape[:1] != labels.shape or checked.ndim not in self._dimensions:
            raise DataError(f"scores of shape {checked.shape!r} don't fit {labels.size} labels for {self.name}")
        if not self.needs_classes:
            return labels, checked
        classes = checked.shape[1] if checked.ndim == 2 else 2
        if not ((labels >= 0) & (labels < classes) & (labels == np.floor(labels))).all():
            raise DataError(f"labels {_labels(labels)} are not class indexes below {classes}; encode them first")
        if self.name not in _ONLY_RANKS and (outside := checked[(checked < 0) | (checked > 1)]).size:
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
    """Look up a metric by its name in a spec.

    Args:
        name: scikit-learn's word for it, `package.module:function`, or the name of an entry point.
        task: The task that it must serve.

    Raises:
        DataError: There is no such metric, it doesn't serve the task, or a user's own metric can't be loaded.

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
    if not np.isfinite(array).all():
        bad = np.unique(np.argwhere(~np.isfinite(array))[:, :1])
        raise DataError(f"{bad.size} of {len(array)} {what} are NaN or infinite, the first in row {int(bad[0])}")
    return array


def _labels(y: Floats) -> str:
    values = np.unique(y)
    return ", ".join(f"{value:g}" for value in values[:5]) + (", …" if values.size > 5 else "")


_REGISTRY: dict[str, Metric] = {name: Metric(facts, PREPARE[name]) for name, facts in METRICS.items()}
