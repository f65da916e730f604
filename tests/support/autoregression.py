"""Values that hang together: a first-order autoregression."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def autoregression(random: np.random.Generator, count: int, correlation: float) -> Floats:
    """Return values of variance 1 whose neighbours have a correlation; shape (count,)."""
    values = random.normal(size=count)
    for place in range(1, count):
        values[place] = correlation * values[place - 1] + np.sqrt(1 - correlation**2) * values[place]
    return values
