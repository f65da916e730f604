"""How long a column's values naturally stay the same, or stay away: what tells a dry month from a stuck rain gauge."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from everfit.tasks.core.records import Record
from everfit.tasks.statistics.columns import Floats

SHORTEST = 50
RATIO = 4
FEWEST_VALUES = 10


class RunLength(Record):
    """The most uniform and the emptiest stretch of so many rows in order."""

    rows: int
    one_value: float = Field(description="Largest share of one value in any such stretch; below a half only a bound.")
    missing: float = Field(description="Largest share of missing values in any such stretch.")


def spells(
    values: Floats, order: npt.NDArray[np.intp] | None = None, *, most: int | None = None
) -> tuple[RunLength, ...]:
    """Measure stretches of 50, 200, 800, … rows, up to half of all rows.

    Args:
        values: A column as numbers or as codes, NaN where missing, of shape (rows,).
        order: Sorts the rows by time, of shape (rows,); without it they count as sorted.
        most: Rows of the most frequent value, where known: a value of few rows can't fill a long stretch.
    """
    ordered = values if order is None else values[order]
    finite = np.isfinite(ordered)
    whole = bool(finite.all())
    ordered = ordered if whole else np.where(finite, ordered, np.nan)
    found: list[RunLength] = []
    size = SHORTEST
    while size * 2 <= ordered.size:
        blocks = ordered[: ordered.size // size * size].reshape(-1, size)
        if whole and most is not None and most * 2 < size:
            found.append(RunLength(rows=size, one_value=most / size, missing=0.0))
        else:
            found.append(_measure(blocks))
        size *= RATIO
    return tuple(found)


def longest_within(measured: Sequence[RunLength], rows: int) -> RunLength:
    """The spells of the longest stretch that is no longer than this; where nothing is known all is natural."""
    fitting = [spell for spell in measured if spell.rows <= rows]
    return fitting[-1] if fitting else RunLength(rows=0, one_value=1.0, missing=1.0)


def _measure(blocks: Floats) -> RunLength:
    """A value that holds at least half of a block is the median of it, so its share is exact from there on."""
    absent = np.isnan(blocks)
    size = blocks.shape[1]
    if not absent.any():
        medians = np.partition(blocks, size // 2, axis=1)[:, size // 2]
        return RunLength(rows=size, one_value=float((blocks == medians[:, None]).mean(axis=1).max()), missing=0.0)
    filled = size - absent.sum(axis=1)
    middle = np.sort(blocks, axis=1)[np.arange(len(blocks)), filled // 2]
    shares = (blocks == middle[:, None]).sum(axis=1) / np.maximum(filled, 1)
    enough = filled >= FEWEST_VALUES
    return RunLength(
        rows=size,
        one_value=float(shares[enough].max()) if enough.any() else 1.0,
        missing=float(1 - filled.min() / size),
    )
