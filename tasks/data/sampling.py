"""Thinning: a bounded, even sample of rows, of which nobody knows in advance how many there are."""

from collections.abc import Iterable

import pandas as pd


def thinned(frames: Iterable[pd.DataFrame], rows: int) -> tuple[pd.DataFrame, int]:
    """Keep every row, or every second, or every fourth, and so on, as they come.

    Args:
        frames: The rows in pieces.
        rows: About how many to keep; never more than twice as many.

    Returns:
        Those that were kept, with an index from 0, and how many there were in all.
    """
    kept: list[pd.DataFrame] = []
    seen, step = 0, 1
    for frame in frames:
        kept.append(frame.iloc[(-seen) % step :: step])
        seen += len(frame)
        while sum(map(len, kept)) > 2 * rows:
            step *= 2
            kept = [each.iloc[::2] for each in kept]
    return (pd.concat(kept, ignore_index=True) if kept else pd.DataFrame()), seen
