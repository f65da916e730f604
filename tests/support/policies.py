"""Simple policies of retraining, and the best plan in hindsight, over a matrix of plain fits."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CADENCES = (1, 2, 4, 8)
_SLACK, _ALARM = 0.01, 0.04
"""CUSUM: the rise of the loss that is no loss, and the sum from which it is an alarm."""


@dataclass(frozen=True)
class Plan:
    """What a policy does: the loss of each window, and how often it trains after the first model.

    Attributes:
        losses: Shape (windows,).
        turns: Number of fits after the first.
    """

    losses: Floats
    turns: int

    def cost(self, price: float) -> float:
        """Return the lost quality over all windows and the price of the turns."""
        return float(self.losses.sum()) + price * self.turns


def at(matrix: Floats, fits: list[int]) -> Plan:
    """Return the plan that fits before some windows.

    Args:
        matrix: Loss in window `column` of the model fitted before window `row`; shape (windows, windows).
        fits: Windows before which a model is fitted, the first of them 0.
    """
    windows = matrix.shape[1]
    used = [max(fit for fit in fits if fit <= window) for window in range(windows)]
    return Plan(matrix[used, np.arange(windows)], len(fits) - 1)


def never(matrix: Floats) -> Plan:
    """Return the plan that never trains again."""
    return at(matrix, [0])


def cadence(matrix: Floats, every: int) -> Plan:
    """Return the plan that trains at a fixed cadence."""
    return at(matrix, list(range(0, matrix.shape[1], every)))


def cusum(matrix: Floats, reference: float) -> Plan:
    """Return the plan that trains at an alarm of a CUSUM of the loss over that of the first model when it was new."""
    fits, total = [0], 0.0
    for window in range(matrix.shape[1] - 1):
        total = max(0.0, total + matrix[fits[-1], window] - reference - _SLACK)
        if total > _ALARM:
            fits.append(window + 1)
            total = 0.0
    return at(matrix, fits)


def hindsight(matrix: Floats, price: float) -> Plan:
    """Return the plan of the least cost, by dynamic programming over the windows before which it trains.

    After A. Mahadevan and M. Mathioudakis, "Cost-aware retraining for machine learning", Knowledge-Based Systems 293
    (2024).
    """
    windows = matrix.shape[1]
    cost = np.full(windows + 1, np.inf)  # of the windows from one on, if a model is fitted before it
    following = np.zeros(windows + 1, dtype=int)
    cost[windows] = -price
    for fit in range(windows - 1, -1, -1):
        for end in range(fit + 1, windows + 1):
            total = matrix[fit, fit:end].sum() + price + cost[end]
            if total < cost[fit]:
                cost[fit], following[fit] = total, end
    fits, fit = [], 0
    while fit < windows:
        fits.append(fit)
        fit = int(following[fit])
    return at(matrix, fits)
