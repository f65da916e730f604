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

from everfit.tasks.statistics.autocorrelation import BEFORE, CORRELATIONS, FEWEST, likelihoods
from everfit.tasks.statistics.weighted_metrics import Floats

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


def error_of_mean(deviations: Floats, before: Floats = BEFORE) -> MeanError:
    """Return how uncertain a mean of values is whose neighbours may depend on each other.

    Args:
        deviations: The deviations of the values from their mean, in order, so large that their mean square is the
            variance of the mean of independent values; shape (values,).
        before: The weights of the autocorrelations before the values are seen; shape (correlations,).

    Example:
        >>> independent, alike = error_of_mean(np.tile([1.0, -1.0], 10)), error_of_mean(np.repeat([1.0, -1.0], 10))
        >>> independent.standard_error < 1.2 < 2 < alike.standard_error
        True
    """
    count, total = deviations.size, float((deviations**2).sum())
    if total == 0 or count < FEWEST:
        return MeanError(float(np.sqrt(total / count)), float(count - 1))
    weights, errors = _averaged(deviations / np.sqrt(total), before)
    low, high = (_quantile(weights, errors, count - 1, probability) for probability in _MATCHED)
    freedom = _freedom(high / low, count - 1)
    return MeanError(float(np.sqrt(total)) * low / float(stdtrit(freedom, _MATCHED[0])), freedom)


def _averaged(values: Floats, before: Floats) -> tuple[Floats, Floats]:
    """Return the weight that is left for each autocorrelation, without and with a trend, and its standard error."""
    count, found = values.size, likelihoods(values)
    lags = np.arange(1, count)
    of_mean = (count + 2 * ((count - lags) * CORRELATIONS[:, None] ** lags).sum(axis=1)) / count**2
    logs = (np.log(before) + found.logs).ravel()
    weights = np.exp(logs - logs.max())
    return weights / weights.sum(), np.sqrt(found.squares * of_mean).ravel()


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
