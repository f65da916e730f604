"""Measure how long a column naturally repeats a value or stays empty: a dry month is no stuck rain gauge."""

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
    """The most uniform and the emptiest stretch of a number of consecutive rows."""

    rows: int
    one_value: float = Field(description="Largest share of one value in a stretch; below one half only a bound.")
    missing: float = Field(description="Largest share of missing values in a stretch.")


def run_lengths(
    values: Floats, order: npt.NDArray[np.intp] | None = None, *, most: int | None = None
) -> tuple[RunLength, ...]:
    """Measure stretches of 50, 200, 800, … rows, up to half of all rows.

    Args:
        values: A column as numbers or codes, NaN for missing; shape (rows,).
        order: Order that sorts the rows by time; shape (rows,). By default they count as sorted.
        most: Rows of the most frequent value, if known: a value with few rows can't fill a long stretch.
    """
    ordered = values if order is None else values[order]
    finite = np.isfinite(ordered)
    whole = bool(finite.all())
    ordered = ordered if whole else np.where(finite, ordered, np.nan)
    lengths: list[RunLength] = []
    size = SHORTEST
    while size * 2 <= ordered.size:
        blocks = ordered[: ordered.size // size * size].reshape(-1, size)
        if whole and most is not None and most * 2 < size:
            lengths.append(RunLength(rows=size, one_value=most / size, missing=0.0))
        else:
            lengths.append(_measure(blocks))
        size *= RATIO
    return tuple(lengths)


def longest_within(measured: Sequence[RunLength], rows: int) -> RunLength:
    """Return the longest stretch of at most this many rows; without one, every run counts as natural."""
    fitting = [spell for spell in measured if spell.rows <= rows]
    return fitting[-1] if fitting else RunLength(rows=0, one_value=1.0, missing=1.0)


def _measure(blocks: Floats) -> RunLength:
    """Measure blocks; a value that fills at least half of a block is its median, so its share is exact."""
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
