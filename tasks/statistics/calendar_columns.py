"""Columns that follow from the event time: they differ between windows, and that is no drift."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

_ALIKE = 0.95
"""Share of the rows in which such a column equals a part of the time; the rest may be another time zone's day."""
_SHIFTS = 2
"""An hour may be of another time zone, which has two distances from UTC in a year."""


def calendar_columns(rows: pd.DataFrame, time: str, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that hold a part of the event time, such as the weekday, the month or the hour.

    Args:
        rows: Rows of the reference.
        time: Column of the event time.
        columns: Columns to look at; those that the rows lack are left out.
    """
    known = rows[rows[time].notna()]
    if len(known) < 30:  # so few may agree by chance
        return ()
    parts = list(_parts(known[time]))
    return tuple(
        name
        for name in columns
        if name in known and known[name].nunique() > 1 and _is_part(known[name], known[time], parts)
    )


def _parts(times: pd.Series) -> Iterator[pd.Series]:
    at = times.dt
    week = at.isocalendar()
    numbers = (at.dayofweek, at.dayofweek + 1, week["day"] % 7, at.day, at.month, at.quarter, at.year, week["week"])
    for numbered in (*numbers, at.dayofyear, at.dayofweek >= 5):
        yield numbered.astype("float64")
    for named in (at.day_name(), at.month_name()):
        yield named.str.lower()
        yield named.str[:3].str.lower()


def _is_part(column: pd.Series, times: pd.Series, parts: Sequence[pd.Series]) -> bool:
    present = column.notna()
    if pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        values = column.astype("float64")
        numbered = [part for part in parts if part.dtype == "float64"]
        return any(float((values == part)[present].mean()) >= _ALIKE for part in numbered) or _is_hour(values, times)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return False
    texts = column.astype("str").str.strip().str.lower()
    return any(float((texts == part)[present].mean()) >= _ALIKE for part in parts if part.dtype != "float64")


def _is_hour(values: pd.Series, times: pd.Series) -> bool:
    """Return whether numbers are the hour of the times, in UTC or another zone."""
    whole = values.dropna()
    if whole.nunique() < 6 or not whole.between(0, 23).all() or times.dt.hour.nunique() < 6:
        return False
    shifts = ((whole - times.dt.hour[whole.index]) % 24).to_numpy()
    counts = np.sort(np.unique(shifts, return_counts=True)[1])[::-1]
    return bool(counts[:_SHIFTS].sum() >= _ALIKE * len(whole))
