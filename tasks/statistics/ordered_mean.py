"""How uncertain the mean of a few values in order is, if neighbours may depend on each other.

An estimate of the autocorrelation of ten values is nearly worthless: an error that is computed from it is far too
small in one sample, and useless in the next. So no estimate is chosen. The error is averaged over the autocorrelations
that there may be, each with the weight that the values leave it: H. Jeffreys, "Theory of Probability" (1961), for a
first-order autoregression, whose weights are the restricted likelihood of H. D. Patterson and R. Thompson, "Recovery of
inter-block information when block sizes are unequal", Biometrika 58 (1971).
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from everfit.tasks.statistics.weighted_metrics import Floats

_CORRELATIONS = np.arange(10) / 10
_BEFORE = np.array([0.5] + [0.5 / 9] * 9)
"""The weights of these autocorrelations before the values are seen: as likely none as any."""
_TREND, _NO_TREND = 0.3, 0.7
"""The same of a linear trend as large as the spread around it, which is not taken for dependence, and of none."""
_FEWEST = 4
"""With fewer values nothing can be said about how they hang together."""
_MATCHED = (0.95, 0.995)
"""The quantiles at which Student's t distribution stands for the average over the autocorrelations."""
_HALVINGS = 20


class MeanError(NamedTuple):
    """The uncertainty of a mean.

    Attributes:
        standard_error: The standard error of the mean.
        degrees_of_freedom: The degrees of freedom of Student's t distribution that the mean, divided by its error,
            follows.
    """

    standard_error: float
    degrees_of_freedom: float


def error_of_mean(deviations: Floats) -> MeanError:
    """Return how uncertain a mean of values is whose neighbours may depend on each other.

    Args:
        deviations: The deviations of the values from their mean, in order, so large that their mean square is the
            variance of the mean of independent values; shape (values,).

    Example:
        >>> independent, alike = error_of_mean(np.tile([1.0, -1.0], 10)), error_of_mean(np.repeat([1.0, -1.0], 10))
        >>> independent.standard_error < 1.2 < 2 < alike.standard_error
        True
    """
    count, total = deviations.size, float((deviations**2).sum())
    if total == 0 or count < _FEWEST:
        return MeanError(float(np.sqrt(total / count)), float(count - 1))
    weights, errors = _averaged(deviations / np.sqrt(total))
    low, high = (_quantile(weights, errors, count - 1, probability) for probability in _MATCHED)
    freedom = _freedom(high / low, count - 1)
    return MeanError(float(np.sqrt(total)) * low / float(stdtrit(freedom, _MATCHED[0])), freedom)


def _averaged(values: Floats) -> tuple[Floats, Floats]:
    """Return the weight that the values leave each autocorrelation, with and without a trend, and its standard error.

    The inverse of the correlations of a first-order autoregression has three diagonals, so each sum over pairs of
    values is one over neighbours. A trend is orthogonal to a constant.
    """
    count, r = values.size, _CORRELATIONS
    ones, moments = np.ones(count), np.arange(count, dtype=np.float64) - (count - 1) / 2
    moments = moments / float(np.sqrt((moments**2).mean()))

    def product(first: Floats, second: Floats) -> Floats:
        ends = first[0] * second[0] + first[-1] * second[-1]
        neighbours = first[:-1] @ second[1:] + first[1:] @ second[:-1]
        summed: Floats = ((1 + r**2) * (first @ second) - r**2 * ends - r * neighbours) / (1 - r**2)
        return summed

    of_ones, of_moments, slope = product(ones, ones), product(moments, moments), product(moments, values)
    around_mean = product(values, values) - product(ones, values) ** 2 / of_ones
    around_trend = around_mean - slope**2 / (1 + of_moments)
    evidence = np.log(_BEFORE) - 0.5 * ((count - 1) * np.log(1 - r**2) + np.log(of_ones))
    logs = np.concatenate(
        [
            evidence + np.log(_NO_TREND) - (count - 1) / 2 * np.log(around_mean),
            evidence + np.log(_TREND) - 0.5 * np.log(1 + of_moments) - (count - 1) / 2 * np.log(around_trend),
        ]
    )
    lags = np.arange(1, count)
    of_mean = (count + 2 * ((count - lags) * r[:, None] ** lags).sum(axis=1)) / count**2
    weights = np.exp(logs - logs.max())
    return weights / weights.sum(), np.sqrt(np.concatenate([around_mean * of_mean, around_trend * of_mean]))


def _quantile(weights: Floats, errors: Floats, freedom: float, probability: float) -> float:
    """Return a quantile of an average of t distributions, by halving."""
    each = errors * float(stdtrit(freedom, probability))
    low, high = float(each.min()), float(each.max())
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        reached = weights @ stdtr(freedom, middle / errors) >= probability
        low, high = (low, middle) if reached else (middle, high)
    return high


def _freedom(ratio: float, most: float) -> float:
    """Return the degrees of freedom of the t distribution whose two quantiles have a ratio, between 1 and a number."""
    known, ratios = _ratios()
    return min(most, float(np.exp(np.interp(-ratio, -ratios, np.log(known)))))


@lru_cache(maxsize=1)
def _ratios() -> tuple[Floats, Floats]:
    """Return degrees of freedom, and the ratio of the two quantiles for each."""
    known = np.geomspace(1, 1000, 400)
    near, far = (stdtrit(known, probability) for probability in _MATCHED)
    return known, far / near
