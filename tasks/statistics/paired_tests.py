"""Bound paired differences without resampling, for independent rows of equal weight."""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple, Self

import numpy as np

from everfit.tasks.statistics.weighted_metrics import Floats, is_correct

_NORMAL = NormalDist()


class Estimate(NamedTuple):
    """One-sided bounds of a difference, and p-values of a gain and of a loss."""

    lower: float
    upper: float
    p_better: float
    p_worse: float

    def mirrored(self) -> Self:
        """Return the estimate with the models swapped."""
        return self.__class__(-self.upper, -self.lower, self.p_worse, self.p_better)

    def symmetric(self) -> Self:
        """Return the wider side on both sides, for models that are equally good."""
        reach, p_value = max(-self.lower, self.upper), max(self.p_better, self.p_worse)
        return self.__class__(-reach, reach, p_value, p_value)


def delong(y: Floats, new: Floats, old: Floats, confidence: float) -> Estimate:
    """Bound the difference of two AUCs on the same rows.

    E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, "Comparing the areas under two or more correlated receiver
    operating characteristic curves: a nonparametric approach", Biometrics 44 (1988); placements by sorting as in X. Sun
    and W. Xu, IEEE Signal Processing Letters 21 (2014).

    Args:
        y: Labels 0 or 1, at least two of each; shape (n,).
        new: Scores of the model that a positive difference favours; shape (n,).
        old: Scores of the other model; shape (n,).
        confidence: Confidence of each bound.
    """
    (new_positive, new_negative), (old_positive, old_negative) = _placements(y, new), _placements(y, old)
    return _normal(*_mean_and_error(new_positive - old_positive, new_negative - old_negative), confidence)


def delong_interval(y: Floats, scores: Floats, confidence: float) -> tuple[float, float]:
    """Return the two-sided interval of one AUC, clipped to [0, 1]; arguments as in `delong`."""
    area, error = delong_area(y, scores)
    reach = _NORMAL.inv_cdf((1 + confidence) / 2) * error
    return max(0.0, area - reach), min(1.0, area + reach)


def delong_area(y: Floats, scores: Floats) -> tuple[float, float]:
    """Return one AUC and its standard error; arguments as in `delong`."""
    return _mean_and_error(*_placements(y, scores))


def _placements(y: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Return for each positive the share of negatives below it, and for each negative the share of positives above."""
    positive, negative = scores[y == 1], scores[y != 1]
    return _share_below(positive, np.sort(negative)), 1 - _share_below(negative, np.sort(positive))


def _share_below(values: Floats, ordered: Floats) -> Floats:
    twice = np.searchsorted(ordered, values, side="left") + np.searchsorted(ordered, values, side="right")
    return twice / (2 * ordered.size)


def _mean_and_error(of_positives: Floats, of_negatives: Floats) -> tuple[float, float]:
    variance = sum(float(shares.var(ddof=1)) / shares.size for shares in (of_positives, of_negatives))
    return float(of_positives.mean()), math.sqrt(variance)


def _normal(mean: float, error: float, confidence: float) -> Estimate:
    reach = _NORMAL.inv_cdf(confidence) * error
    if error == 0:
        return Estimate(mean, mean, float(mean <= 0), float(mean >= 0))
    return Estimate(mean - reach, mean + reach, _NORMAL.cdf(-mean / error), _NORMAL.cdf(mean / error))


def mcnemar(y: Floats, new: Floats, old: Floats, confidence: float) -> Estimate:
    """Bound the difference of two accuracies on the same rows.

    The p-values are those of Q. McNemar's test (Psychometrika 12, 1947). The bounds are those of T. Tango's score
    interval, which inverts it ("Equivalence test and confidence interval for the difference in proportions for the
    paired-sample design", Statistics in Medicine 17 (1998)), so both always agree.

    Args:
        y: Class indexes; shape (n,).
        new: Scores of the model that a positive difference favours; shape (n,) or (n, classes).
        old: Scores of the other model; same shape.
        confidence: Confidence of each bound.
    """
    right_new, right_old = is_correct(y, new), is_correct(y, old)
    only_new, only_old = float((right_new > right_old).sum()), float((right_old > right_new).sum())
    critical = _NORMAL.inv_cdf(confidence)
    difference = (only_new - only_old) / y.size
    lower = _bisect(lambda delta: _tango(only_new, only_old, y.size, delta) - critical, -1.0, difference)
    upper = _bisect(lambda delta: _tango(only_new, only_old, y.size, delta) + critical, difference, 1.0)
    if only_new + only_old == 0:
        return Estimate(lower, upper, 1.0, 1.0)
    statistic = (only_new - only_old) / math.sqrt(only_new + only_old)
    return Estimate(lower, upper, _NORMAL.cdf(-statistic), _NORMAL.cdf(statistic))


def _tango(only_new: float, only_old: float, rows: int, delta: float) -> float:
    """Return Tango's score statistic of the hypothesis that the difference is `delta`."""
    linear = (2 * rows - only_new + only_old) * delta - only_new - only_old
    constant = -only_old * delta * (1 - delta)
    share = (math.sqrt(max(0.0, linear**2 - 8 * rows * constant)) - linear) / (4 * rows)
    variance = rows * (2 * share + delta * (1 - delta))
    distance = only_new - only_old - rows * delta
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def _bisect(falling: Callable[[float], float], low: float, high: float) -> float:
    """Return where a falling function crosses zero within [low, high], or an end if it doesn't cross.

    scipy's root finders raise in that case, which occurs when all rows speak for one model.
    """
    for _ in range(60):  # enough halvings to reach the spacing of floats
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return (low + high) / 2
