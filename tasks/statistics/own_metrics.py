"""A user's own metric: load it, and check each value that it returns."""

import inspect
import math
from collections.abc import Callable
from functools import lru_cache
from numbers import Real
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import DataError, ExtensionError, MetricError
from everfit.blocks.extensions import METRICS_GROUP
from everfit.blocks.metrics import ALL_TASKS, MetricFacts, TaskKind
from everfit.tasks.core.extensions import load_extension
from everfit.tasks.statistics.weighted_metrics import Floats, Weights

FunctionT = TypeVar("FunctionT", bound=Callable[..., float])

_SCALE = ("greater_is_better", "lowest", "highest")


def own_metric(
    *, greater_is_better: bool = True, lowest: float = -math.inf, highest: float = math.inf
) -> Callable[[FunctionT], FunctionT]:
    """Declare the direction and range of a metric of your own.

    A function without this decorator is a metric too: greater is better, and it may return any finite number.

    Args:
        greater_is_better: False for losses and errors.
        lowest: The least value that it can return.
        highest: The greatest value that it can return.

    Returns:
        A decorator, which returns the function itself.

    Example:
        >>> @everfit.tasks.own_metric(greater_is_better=False, lowest=0)
        ... def cost(y, scores):
        ...     return float(abs(y - scores).sum())
        >>> cost.greater_is_better
        False
    """

    def declare(function: FunctionT) -> FunctionT:
        for name, value in zip(_SCALE, (greater_is_better, lowest, highest), strict=True):
            setattr(function, name, value)
        return function

    return declare


class OwnMetric:
    """A function that returns one number for labels and scores.

    Attributes:
        facts: Its name in the spec, direction and range.
        takes_weights: Whether it has a parameter `sample_weight`.
    """

    def __init__(self, name: str, task: TaskKind | None) -> None:
        try:
            self._function = load_extension(name, METRICS_GROUP)
        except ExtensionError as error:
            raise MetricError(f"metric {error}") from error
        self.facts = _facts(name, self._function, ALL_TASKS if task is None else frozenset({task}))
        self.takes_weights = "sample_weight" in inspect.signature(self._function).parameters

    def value(self, y: Floats, scores: Floats, weights: Weights | None = None) -> float:
        """Return the metric's value.

        Args:
            y: Labels, shape (n,).
            scores: Scores, shape (n,) or (n, classes).
            weights: Weight of each row, shape (n,). A function without `sample_weight` gets a row as often as its
                weight says.

        Raises:
            MetricError: The function raises, or returns anything but a finite number in its range.
            DataError: Weights are no counts, and the function takes no `sample_weight`.
        """
        name, options = self.facts.name, dict[str, Any]()
        if weights is not None and self.takes_weights:
            options["sample_weight"] = weights
        elif weights is not None:
            drawn = np.repeat(np.arange(y.size), self._counts(weights))
            y, scores = y[drawn], scores[drawn]
        try:
            value = self._function(_read_only(y), _read_only(scores), **options)
        except Exception as error:  # a user's function may raise anything
            raise MetricError(f"metric {name!r} failed with {type(error).__name__}: {error}") from error
        number = _number(value)
        if number is None or not math.isfinite(number):
            raise MetricError(f"metric {name!r} returned {value!r}; it must return one finite number")
        if not self.facts.lowest <= number <= self.facts.highest:
            raise MetricError(
                f"metric {name!r} returned {number!r}, outside of its range from {self.facts.lowest:g} to "
                f"{self.facts.highest:g}; correct the function, or the range that it declares"
            )
        return number

    def prepare(self, y: Floats, scores: Floats) -> Callable[[Weights], Floats]:
        """Return a function from weights, shape (draws, n), to values, shape (draws,); NaN where a draw has none."""

        def one(weights: Weights) -> float:
            try:
                return self.value(y, scores, weights)
            except MetricError:
                return math.nan

        return lambda weights: np.array([one(draw) for draw in weights], dtype=np.float64)

    def _counts(self, weights: Weights) -> npt.NDArray[np.int64]:
        counts = weights.astype(np.int64, copy=False)
        if np.array_equal(counts, weights):
            return counts
        raise DataError(
            f"metric {self.facts.name!r} takes no sample_weight, and these rows have weights; "
            f"give the function a parameter sample_weight"
        )


@lru_cache(maxsize=64)
def load_own_metric(name: str, task: TaskKind | None = None) -> OwnMetric:
    """Load a metric of the user's own.

    Args:
        name: `package.module:function`, or the name of an entry point in the group `everfit.metrics`.
        task: The task that it serves; all of them if not given.

    Raises:
        MetricError: It can't be loaded, or what it declares of itself is impossible.
    """
    return OwnMetric(name, task)


def _facts(name: str, function: Callable[..., Any], tasks: frozenset[TaskKind]) -> MetricFacts:
    greater, lowest, highest = (
        getattr(function, attribute, default)
        for attribute, default in zip(_SCALE, (True, -math.inf, math.inf), strict=True)
    )
    if not isinstance(greater, bool):
        raise MetricError(f"metric {name!r} declares greater_is_better = {greater!r}; allowed: True, False")
    low, high = _number(lowest), _number(highest)
    if low is None or high is None or not low < high:
        raise MetricError(f"metric {name!r} declares a range from {lowest!r} to {highest!r}; give two numbers in order")
    return MetricFacts(name, tasks, greater, low, high)


def _number(value: Any) -> float | None:
    """Return a single number as a float, and nothing for anything else."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if value is True or value is False:
        return None
    return float(value) if isinstance(value, Real) else None


def _read_only(values: Floats) -> Floats:
    view = values.view()
    view.flags.writeable = False
    return view
