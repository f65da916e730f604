"""Quantiles of any number of values in bounded memory; sketches of parts add up. Pure."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

EXACT = 1_000_000
"""So many values are kept as they are."""
ERROR = 0.001
"""Largest relative error of a quantile of more values; they are counted in cells of twice this width."""

_WIDTH = np.log1p(2 * ERROR)
_SMALLEST = 1e-6
"""Values up to here count as 0."""


@dataclass
class QuantileSketch:
    """Values of 0 or more: all of them, or if there are many, their number by cell.

    Attributes:
        values: The values, unless they were counted.
        cells: Number of values by the whole part of their logarithm in widths of a cell; None is for 0.
    """

    values: Floats = field(default_factory=lambda: np.empty(0))
    cells: Counter[int | None] = field(default_factory=Counter)

    @property
    def size(self) -> int:
        """Return the number of values."""
        return self.values.size + self.cells.total()

    def add(self, values: npt.ArrayLike) -> None:
        """Add further values."""
        self.values = np.concatenate([self.values, np.asarray(values, dtype=np.float64)])
        if self.values.size and (self.cells or self.values.size > EXACT):
            self.cells += _counted(self.values)
            self.values = np.empty(0)

    def __add__(self, other: Self) -> Self:
        """Both together."""
        both = type(self)(self.values, self.cells + other.cells)
        both.add(other.values)
        return both

    def percentile(self, share: float) -> float:
        """Return a percentile: as numpy's if all values are kept, else with a relative error of at most `ERROR`.

        Args:
            share: From 0 to 100.
        """
        if not self.cells:
            return float(np.percentile(self.values, share))
        ordered = sorted(self.cells, key=lambda cell: -np.inf if cell is None else cell)
        below = np.cumsum([self.cells[cell] for cell in ordered])
        cell = ordered[int(np.searchsorted(below, share / 100 * (below[-1] - 1), side="right"))]
        return 0.0 if cell is None else float(np.exp((cell + 0.5) * _WIDTH))


def _counted(values: Floats) -> "Counter[int | None]":
    large = values[values > _SMALLEST]
    cells, counts = np.unique(np.floor(np.log(large) / _WIDTH).astype(np.int64), return_counts=True)
    counted: Counter[int | None] = Counter(dict(zip(cells.tolist(), counts.tolist(), strict=True)))
    if small := values.size - large.size:
        counted[None] = small
    return counted
