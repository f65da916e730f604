"""The rows that settings are tried on where there are many: enough to rank them by, at a bounded cost."""

import numpy as np
import pandas as pd

from everfit.blocks.spec import ModelSpec

MOST_TRIED = 50_000
"""Number of rows from which on a setting is tried on a sample. The gate judges models that are fitted on all rows."""
_MOST_CELLS, _FEWEST_ROWS = 10_000_000, 5_000
"""Number of values of features from which on the sample has fewer rows, as with more than 200 features; and how few."""


def most_tried(columns: int) -> int:
    """Return the number of rows from which on a setting is tried on a sample, for so many features."""
    return min(MOST_TRIED, max(_FEWEST_ROWS, _MOST_CELLS // max(1, columns)))


def sample_rows(spec: ModelSpec, rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return at most this many rows, spread evenly over time, with each class in its share.

    The same rows give the same sample. A class keeps at least one row.

    Args:
        spec: Spec of the model; its task says whether the target has classes.
        rows: Rows in time order.
        most: Number of rows of the sample.
    """
    if len(rows) <= most:
        return rows
    every = np.arange(len(rows))
    if spec.task == "regression":
        return rows.iloc[_evenly(every, most)]
    codes = pd.factorize(rows[spec.columns.target], sort=True)[0]
    parts = [every[codes == code] for code in np.unique(codes)]
    chosen = [_evenly(part, max(1, round(most * len(part) / len(rows)))) for part in parts]
    return rows.iloc[np.sort(np.concatenate(chosen))]


def _evenly(
    positions: "np.ndarray[tuple[int], np.dtype[np.intp]]", count: int
) -> "np.ndarray[tuple[int], np.dtype[np.intp]]":
    """Return this many of the positions, at equal distances."""
    return positions[(np.arange(count) * len(positions)) // count]
