"""A metric on few labels, corrected by what the model's answers predict of all rows. Pure.

The value on the labelled rows is moved by as much as the predicted value of all rows differs from that of the labelled
ones. The labels are a sample of all rows with known probabilities, so this is right on average however wrong the
prediction is; if it is good, the chance of the sample cancels out (A. N. Angelopoulos et al., "PPI++", 2023). How far
to trust it is learned from the labelled rows by the bootstrap (T. Zrnic, "PPBoot", 2024), so it does for any metric.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import MetricError, NotEnoughError

Floats = npt.NDArray[np.float64]

_DRAWS = 200
_FEWEST = 30


@dataclass(frozen=True)
class AssistedMetric:
    """The corrected value.

    Attributes:
        value: The corrected value.
        narrower: Its standard error as a share of that without the correction.
    """

    value: float
    narrower: float


def assisted(
    measured: Callable[[npt.NDArray[np.int64]], float],
    predicted: Callable[[npt.NDArray[np.int64]], float],
    of_all: float,
    rows: int,
    *,
    seed: int = 0,
) -> AssistedMetric | None:
    """Return the corrected value; None if too few rows or draws say how well labels follow the prediction.

    Args:
        measured: The metric of some labelled rows, by their positions; each counts by the inverse of its probability.
        predicted: The metric that the answers predict of the same rows.
        of_all: The metric that the answers predict of all rows.
        rows: Number of labelled rows.
        seed: The seed of the bootstrap.
    """
    random = np.random.default_rng(seed)
    pairs = []
    for _ in range(_DRAWS if rows >= _FEWEST else 0):
        drawn = random.integers(0, rows, rows)
        try:
            pairs.append((measured(drawn), predicted(drawn)))
        except (NotEnoughError, MetricError):  # a draw with one class
            continue
    if len(pairs) < _DRAWS / 2:
        return None
    both = np.array(pairs)
    (own, shared), (_, other) = np.cov(both.T)
    trust = float(np.clip(shared / other, 0, 1)) if other > 0 else 0.0
    everything = np.arange(rows)
    value = measured(everything) + trust * (of_all - predicted(everything))
    left = own - 2 * trust * shared + trust**2 * other
    return AssistedMetric(float(value), float(np.sqrt(max(left, 0.0) / own)) if own > 0 else 1.0)
