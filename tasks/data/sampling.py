"""Sample rows evenly when their number isn't known in advance."""

from collections.abc import Iterable

import pandas as pd


def even_sample(frames: Iterable[pd.DataFrame], rows: int) -> tuple[pd.DataFrame, int]:
    """Keep every row, or every second, fourth, … row, as many as fit.

    Args:
        frames: The rows in chunks.
        rows: Approximate number of rows to keep; at most twice as many are kept.

    Returns:
        The kept rows, indexed from 0, and the total number of rows.
    """
    sample: list[pd.DataFrame] = []
    seen, step = 0, 1
    for frame in frames:
        sample.append(frame.iloc[(-seen) % step :: step])
        seen += len(frame)
        while sum(map(len, sample)) > 2 * rows:
            step *= 2
            sample = [frame.iloc[::2] for frame in sample]
    return (pd.concat(sample, ignore_index=True) if sample else pd.DataFrame()), seen
