"""Means over windows with an interval, also where neighbouring windows depend on each other. Pure."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from everfit.tasks.core.records import Record

LEAST_WINDOWS = 4
"""Fewer windows than these say nothing about how much windows differ."""


class MeanInterval(Record):
    """A mean over windows.

    Attributes:
        mean: The mean.
        low: Lower end of its 95 % interval; None if there are too few windows.
        high: Upper end of its 95 % interval; None if there are too few windows.
        windows: Number of windows that it is a mean of.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    windows: int

    @property
    def excludes_zero(self) -> bool:
        """Return whether the interval shows on which side of zero the mean is."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def mean_interval(values: Sequence[float | None], confidence: float = 0.95) -> MeanInterval | None:
    """Return the mean of windows in time order, with an interval by Student's distribution.

    Neighbouring windows share a model and a season, so their covariances widen the interval: W. K. Newey and K. D.
    West, "A simple, positive semi-definite, heteroskedasticity and autocorrelation consistent covariance matrix",
    Econometrica 55 (1987). There are as many lags as the cube root of the number of windows. They never narrow it.

    Args:
        values: The value of each window; None or NaN where it isn't known.
        confidence: The confidence of the interval.

    Returns:
        The mean and its interval; None if no window is known.
    """
    known = np.array([value for value in values if value is not None and not math.isnan(value)], dtype=np.float64)
    count = len(known)
    if count == 0:
        return None
    mean = float(known.mean())
    if count < LEAST_WINDOWS:
        return MeanInterval(mean=mean, windows=count)
    apart = known - mean
    variance = independent = float(apart @ apart) / (count - 1)
    lags = int(count ** (1 / 3))
    for lag in range(1, lags + 1):
        variance += 2 * (1 - lag / (lags + 1)) * float(apart[lag:] @ apart[:-lag]) / (count - 1)
    error = math.sqrt(max(variance, independent) / count)
    reach = float(stdtrit(count - 1, (1 + confidence) / 2)) * error
    return MeanInterval(mean=mean, low=mean - reach, high=mean + reach, windows=count)


def paired_interval(one: Sequence[float | None], other: Sequence[float | None]) -> MeanInterval | None:
    """Return the mean of `one - other` over the windows that both know, with an interval.

    A difference that rounding alone makes counts as 0.

    Args:
        one: The values of the first plan in each window.
        other: The values of the second plan in the same windows.
    """
    pairs = zip(one, other, strict=True)
    return mean_interval([None if a is None or b is None else 0.0 if math.isclose(a, b) else a - b for a, b in pairs])
