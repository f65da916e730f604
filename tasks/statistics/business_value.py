"""Compute the business value of a model's predictions, and the threshold that maximises it on validation rows."""

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import ExtensionError, SpecError
from everfit.blocks.metrics import MetricFacts
from everfit.blocks.value import ValuePolicy
from everfit.tasks.core.extensions import load_extension
from everfit.tasks.statistics.metrics import Metric
from everfit.tasks.statistics.weighted_metrics import mean_of_rows

Floats = npt.NDArray[np.float64]

_THRESHOLDS = 199

WORTH = Metric(
    MetricFacts("business value per row", frozenset({"regression"}), True, -math.inf, math.inf),
    mean_of_rows(lambda _, worth: worth),
)
"""The mean of what rows are worth, which are given in place of scores; labels are not looked at."""


def worth_of(policy: ValuePolicy, threshold: float) -> Callable[[Floats, Floats], Floats]:
    """Return a function that gives each row's value from labels and scores.

    Args:
        policy: Value of each outcome, or the user's function.
        threshold: Probability from which action is taken.

    Raises:
        SpecError: If there is no such function.
    """
    if policy.function is not None:
        try:
            own = load_extension(policy.function)
        except ExtensionError as error:
            raise SpecError(f"training.business_value.function: {error}") from error
        return lambda truth, scores: np.asarray(own(truth, scores), dtype=np.float64)

    def worth(truth: Floats, scores: Floats) -> Floats:
        acted, positive = scores >= threshold, truth == 1
        return np.select(
            [acted & positive, acted & ~positive, ~acted & ~positive],
            [policy.true_positive, policy.false_positive, policy.true_negative],
            policy.false_negative,
        ).astype(np.float64)

    return worth


def best_threshold(policy: ValuePolicy, truth: Floats, scores: Floats) -> float:
    """Return the threshold with the greatest value on validation rows; of equals the one nearest to one half.

    Example:
        >>> costly = ValuePolicy(true_positive=1, false_positive=-10)
        >>> best_threshold(costly, np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.6, 0.55, 0.9]))
        0.605
    """
    if policy.function is not None:
        return 0.5
    thresholds = np.linspace(0, 1, _THRESHOLDS + 2)
    worths = [worth_of(policy, float(threshold))(truth, scores).sum() for threshold in thresholds]
    best = np.flatnonzero(np.isclose(worths, max(worths)))
    return float(thresholds[best[np.argmin(np.abs(thresholds[best] - 0.5))]])


def no_action(policy: ValuePolicy, truth: Floats) -> float:
    """Return the mean value of a row if no action is ever taken."""
    if policy.function is not None:
        return float(worth_of(policy, 0.5)(truth, np.zeros_like(truth)).mean())
    return float(np.where(truth == 1, policy.false_negative, policy.true_negative).mean())
