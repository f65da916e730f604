"""Policies of retraining and the best plan in hindsight, over the losses of models by training end and window. Pure.

All policies here read a matrix of losses: that in window `column` of the model fitted before window `row`. A loss that
is not known, since the window has no labels, is NaN and counts for nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CADENCES = (1, 2, 4, 8)
SLACK, ALARM = 0.01, 0.04
"""CUSUM: the rise of the loss that is no loss, and the sum from which it is an alarm."""


@dataclass(frozen=True)
class Plan:
    """When a policy trains, and what that brings.

    Attributes:
        losses: Loss in each window; shape (windows,).
        fits: Windows before which it trains, the first of them 0.
        used: For each window the fit that is used in it; shape (windows,).
    """

    losses: Floats
    fits: tuple[int, ...]
    used: tuple[int, ...]

    @property
    def turns(self) -> int:
        """Return the number of fits after the first."""
        return len(self.fits) - 1

    def cost(self, price: float) -> float:
        """Return the loss over all windows and the price of the turns."""
        return float(np.nansum(self.losses)) + price * self.turns


def at(matrix: Floats, fits: Sequence[int]) -> Plan:
    """Return the plan that fits before some windows.

    Args:
        matrix: Loss in window `column` of the model fitted before window `row`; shape (windows, windows).
        fits: Windows before which a model is fitted, the first of them 0.
    """
    windows = matrix.shape[1]
    used = [max(fit for fit in fits if fit <= window) for window in range(windows)]
    return Plan(matrix[used, np.arange(windows)], tuple(fits), tuple(used))


def never(matrix: Floats) -> Plan:
    """Return the plan that never trains again."""
    return at(matrix, [0])


def cadence(matrix: Floats, every: int) -> Plan:
    """Return the plan that trains at a fixed cadence, in windows."""
    return at(matrix, list(range(0, matrix.shape[1], every)))


def cusum(matrix: Floats, reference: float, *, slack: float = SLACK, alarm: float = ALARM, late: int = 0) -> Plan:
    """Return the plan that trains at an alarm of a CUSUM of the loss over that of the first model when it was new.

    Args:
        matrix: Losses as in `at`.
        reference: Loss of the first model when it was new.
        slack: Rise of the loss that is no loss.
        alarm: Sum of the rises from which it is an alarm.
        late: Number of windows after its end at which a window's labels are known.
    """
    fits, total, since = [0], 0.0, 0
    for window in range(matrix.shape[1] - 1):
        seen = window - late
        if seen < since:  # its labels aren't known yet, or it was lived through by an earlier model
            continue
        loss = matrix[fits[-1], seen]
        total = total if np.isnan(loss) else max(0.0, total + loss - reference - slack)
        if total > alarm:
            fits.append(window + 1)
            total, since = 0.0, window + 1
    return at(matrix, fits)


def hindsight(matrix: Floats, price: float) -> Plan:
    """Return the plan of the least cost, by dynamic programming over the windows before which it trains.

    After A. Mahadevan and M. Mathioudakis, "Cost-aware retraining for machine learning", Knowledge-Based Systems 293
    (2024).

    Args:
        matrix: Losses as in `at`.
        price: Price of a turn, in loss of one window.
    """
    windows = matrix.shape[1]
    known = np.nan_to_num(matrix)
    cost = np.full(windows + 1, np.inf)  # of the windows from one on, if a model is fitted before it
    following = np.zeros(windows + 1, dtype=int)
    cost[windows] = -price
    for fit in range(windows - 1, -1, -1):
        until = np.concatenate([[0.0], np.cumsum(known[fit, fit:])])
        for end in range(windows, fit, -1):  # of equals the one that trains least
            total = until[end - fit] + price + cost[end]
            if total < cost[fit] - _EQUAL:
                cost[fit], following[fit] = total, end
    fits, fit = [], 0
    while fit < windows:
        fits.append(fit)
        fit = int(following[fit])
    return at(matrix, fits)


_EQUAL = 1e-12
"""Sums that differ by less are equal: they were added up in another order."""


def missed(matrix: Floats, plan: Plan) -> tuple[int, ...]:
    """Return the turns of a plan that were wrong: the new model was no better until the next one.

    Args:
        matrix: Losses as in `at`.
        plan: A plan over it.

    Returns:
        Windows before which a model was fitted that did no better than the model before it.
    """
    windows, wrong = matrix.shape[1], []
    for before, fit, end in zip(plan.fits, plan.fits[1:], [*plan.fits[2:], windows], strict=False):
        gain = matrix[before, fit:end] - matrix[fit, fit:end]
        if not np.nansum(gain) > 0:
            wrong.append(fit)
    return tuple(wrong)


def best_cadence(matrix: Floats, price: float) -> tuple[int, Plan]:
    """Return the cadence that costs least, in windows, and its plan; the rarest of equals.

    Args:
        matrix: Losses as in `at`.
        price: Price of a turn, in loss of one window.
    """
    allowed = [every for every in CADENCES if every < matrix.shape[1]] or [1]
    plans = [(every, cadence(matrix, every)) for every in reversed(allowed)]
    return min(plans, key=lambda found: found[1].cost(price))
