"""Columns that follow the event time, and so have other values in a window than in the hold-out by themselves."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.tasks.statistics.calendar_columns import calendar_columns
from everfit.tasks.statistics.columns import codes_of, kind_of, numbers_of

_TREND = 0.95
"""A number whose rank correlation with the event time is at least this follows it, such as a counter."""
_OVERLAP = 0.5
"""With at least this share of rows in common, a column tells no side from the other, and stays."""
_BINS = 12


def time_columns(reference: pd.DataFrame, window: pd.DataFrame, time: str, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that follow the event time and have other values in the window.

    A classifier would tell the sides apart by them alone, and every row would count as never seen. An hour or a weekday
    stays, because both sides have all of them.

    Args:
        reference: Rows of the hold-out, with their event time.
        window: Rows of the window.
        time: Column of the event time in the reference.
        columns: Columns to look at.
    """
    there = [name for name in columns if name in reference and name in window]
    if time not in reference:
        return ()
    following = {
        *calendar_columns(reference, time, there),
        *(n for n in there if _has_trend(reference[n], reference[time])),
    }
    return tuple(name for name in there if name in following and _overlap(reference[name], window[name]) < _OVERLAP)


def _has_trend(column: "pd.Series[Any]", times: "pd.Series[pd.Timestamp]") -> bool:
    if kind_of(column) != "numeric":
        return False
    numbers, _ = numbers_of(column)
    known = np.isfinite(numbers)
    if known.sum() < 30 or len(np.unique(numbers[known])) < 3:  # so few may agree by chance
        return False
    ranks = (pd.Series(numbers[known]).rank(), pd.Series(times.to_numpy()[known]).rank())
    return bool(abs(np.corrcoef(*ranks)[0, 1]) >= _TREND)


def _overlap(old: "pd.Series[Any]", new: "pd.Series[Any]") -> float:
    """Return the share of rows that two columns have in common, from 0 to 1."""
    both = pd.concat([old.astype(object), new.astype(object)], ignore_index=True)
    cells: npt.NDArray[np.int64]
    if kind_of(old) == "numeric" and kind_of(new) == "numeric":
        numbers, _ = numbers_of(both)
        finite = numbers[np.isfinite(numbers)]
        edges = np.unique(np.quantile(finite, np.linspace(0, 1, _BINS + 1)[1:-1])) if finite.size else np.empty(0)
        cells = np.where(np.isfinite(numbers), np.searchsorted(edges, numbers, side="right"), len(edges) + 1)
    else:
        cells = codes_of(both)[0] + 1
    count = int(cells.max()) + 1
    shares = [np.bincount(part, minlength=count) / max(1, len(part)) for part in (cells[: len(old)], cells[len(old) :])]
    return float(np.minimum(*shares).sum())
