"""How closely neighbours among values in order hang together, and what earlier values add to that.

Ten values say little about it. Earlier values of the same kind, which no decision of now reads, say more: the weights
of the autocorrelations before the values are seen are multiplied by the likelihood of the earlier ones, to a power
below 1, because a model's gains need not hang together as they did: J. Ibrahim and M.-H. Chen, "Power prior
distributions for regression models", Statistical Science 15 (2000).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from everfit.tasks.core.paired_comparison import Autocorrelation
from everfit.tasks.statistics.weighted_metrics import Floats

CORRELATIONS = np.arange(10) / 10
BEFORE = np.array([0.5] + [0.5 / 9] * 9)
"""The weights of these autocorrelations before any values are seen: as likely none as any."""
TREND, NO_TREND = 0.3, 0.7
"""The same of a linear trend as large as the spread around it, which is not taken for dependence, and of none."""
FEWEST = 4
"""With fewer values nothing can be said about how they hang together."""
_POWER = 0.5
"""The power of the likelihood of earlier values."""
_BEFORE_EARLIER = np.full(CORRELATIONS.size, 1 / CORRELATIONS.size)
"""The weights before earlier values are seen, where there are any: a weight of .5 on none lets few days that are nearly
independent show a gain, but earlier days tell that they are."""
_LEAST = 1e-6
"""The least weight of an autocorrelation, so that no earlier values rule one out."""
_MOST_GROUPS = 120
"""The newest comparisons that add up to about so many groups are counted: more say hardly more, and are older."""


class Likelihoods(NamedTuple):
    """How likely values in order are at each autocorrelation, and their spread there.

    Attributes:
        logs: The logarithm of the restricted likelihood; shape (2, correlations), without and with a trend.
        squares: The squared deviations from the mean or the trend, as if all values were independent; same shape.
    """

    logs: Floats
    squares: Floats


def likelihoods(values: Floats) -> Likelihoods:
    """Return how likely values are at each autocorrelation.

    The inverse of the correlations of a first-order autoregression has three diagonals, so each sum over pairs of
    values is one over neighbours. A trend is orthogonal to a constant.

    Args:
        values: Deviations from their mean, not all 0, in order; shape (values,).
    """
    count, r = values.size, CORRELATIONS
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
    known = -0.5 * ((count - 1) * np.log(1 - r**2) + np.log(of_ones))
    logs = np.stack(
        [
            known + np.log(NO_TREND) - (count - 1) / 2 * np.log(around_mean),
            known + np.log(TREND) - 0.5 * np.log(1 + of_moments) - (count - 1) / 2 * np.log(around_trend),
        ]
    )
    return Likelihoods(logs, np.stack([around_mean, around_trend]))


def autocorrelation_of(deviations: Floats, unit: str) -> Autocorrelation | None:
    """Return how likely values are at each autocorrelation, for later comparisons.

    Args:
        deviations: As in `error_of_mean`.
        unit: The unit of time of the groups that the values are of.

    Returns:
        None if there are too few values, or if they don't differ.
    """
    total = float((deviations**2).sum())
    if total == 0 or deviations.size < FEWEST:
        return None
    logs = np.logaddexp(*likelihoods(deviations / np.sqrt(total)).logs)
    return Autocorrelation(
        grouped_by=unit,
        groups=deviations.size,
        log_likelihoods=tuple(np.round(logs - logs.max(), 4).tolist()),
    )


def telling_comparisons(earlier: Sequence[Autocorrelation], unit: str) -> tuple[Autocorrelation, ...]:
    """Return which earlier comparisons tell about values of a unit: the newest of the same unit, a bounded number.

    Args:
        earlier: The earlier comparisons, oldest first.
        unit: The unit of time of the groups.
    """
    chosen: list[Autocorrelation] = []
    for one in reversed(earlier):
        known = len(one.log_likelihoods) == CORRELATIONS.size
        if known and one.grouped_by == unit and sum(each.groups for each in chosen) < _MOST_GROUPS:
            chosen.append(one)
    return tuple(chosen[::-1])


def weights_before(earlier: Sequence[Autocorrelation]) -> Floats:
    """Return the weights of the autocorrelations before the values are seen; shape (correlations,).

    Args:
        earlier: The earlier comparisons that count.

    Example:
        >>> alike = Autocorrelation(grouped_by="days", groups=60, log_likelihoods=(-20.0, *[-9.0] * 8, 0.0))
        >>> weights_before([])[0], bool(weights_before([alike])[0] < 0.001)
        (np.float64(0.5), True)
    """
    if not earlier:
        return BEFORE
    summed = np.sum([one.log_likelihoods for one in earlier], axis=0)
    weights = _BEFORE_EARLIER * np.exp(_POWER * (summed - np.max(summed)))
    weights = np.maximum(weights / weights.sum(), _LEAST)
    return np.asarray(weights / weights.sum(), dtype=np.float64)
