"""How much of the past still tells about now: the newest parts of some rows that agree on a gain."""

import math
from collections.abc import Callable
from typing import NamedTuple

from scipy.special import stdtrit

_APART = 2.5
"""A part disagrees if it is further apart than this number of standard errors. In simulations with equal models, with
and without autocorrelation, a test on the parts that agree is wrong about as often as a test on all of them."""
_USUAL = 0.975
"""Standard errors of few degrees of freedom are widened as at this quantile."""


class Gain(NamedTuple):
    """A gain of one model over another.

    Attributes:
        value: Positive when the first model is better.
        error: Standard error.
        freedom: Degrees of freedom of the error; infinite if it is known.
    """

    value: float
    error: float
    freedom: float = math.inf

    def reach(self, confidence: float) -> float:
        """Return how far from the gain its one-sided bound is."""
        return float(stdtrit(self.freedom, confidence)) * self.error


def agreeing_parts(count: int, gain: Callable[[int, int], Gain | None]) -> int:
    """Return how many of the newest parts agree: all of them without a change, few after one.

    Beginning with the newest part, each older one is added as long as it agrees with all newer ones together.

    Args:
        count: Number of parts.
        gain: Function from the numbers of newest parts to leave out and to take (the newest is 0 to 1) to the gain on
            them; None where it can't be measured, which no other gain disagrees with.

    Example:
        >>> values = [0.30, 0.28, 0.01]
        >>> agreeing_parts(3, lambda newest, oldest: Gain(sum(values[newest:oldest]) / (oldest - newest), 0.02))
        2
    """
    for taken in range(1, count):
        newer, older = gain(0, taken), gain(taken, taken + 1)
        if newer is None or older is None:
            continue
        wider = float(stdtrit(min(newer.freedom, older.freedom), _USUAL) / stdtrit(math.inf, _USUAL))
        if abs(newer.value - older.value) > _APART * wider * math.hypot(newer.error, older.error):
            return taken
    return count
