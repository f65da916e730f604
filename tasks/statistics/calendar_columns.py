"""Columns that follow from the event time: they differ between windows, and that is no drift."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

_ALIKE = 0.95
"""Share of the rows in which such a column equals a part of the time; summer time shifts the rest."""
_PERHAPS = 0.5
"""Share from which another time zone is tried: its day is the same for most hours."""
_ZONES = range(-12, 15)
"""Hours from UTC."""
_SHIFTS = 2
"""A zone has two distances from UTC in a year."""


def calendar_columns(rows: pd.DataFrame, time: str, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that hold a part of the event time, such as the weekday, the month or the hour.

    Args:
        rows: Rows of the reference.
        time: Column of the event time.
        columns: Columns to look at; those that the rows lack are left out.
    """
    known = rows[rows[time].notna()]
    is_time = pd.api.types.is_datetime64_any_dtype(rows[time].dtype)
    if len(known) < 30 or not is_time:  # so few may agree by chance
        return ()
    times = known[time]
    return tuple(
        name for name in columns if name in known and known[name].nunique() > 1 and _is_part(known[name], times)
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


def _is_part(column: pd.Series, times: pd.Series) -> bool:
    """Return whether a column equals a part of the times, in UTC or another zone."""
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return False
    is_number = pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype)
    values = column.astype("float64") if is_number else column.astype("str").str.strip().str.lower()
    if is_number and _is_hour(values, times):
        return True
    present = column.notna().to_numpy()
    alike = _agreement(values, times, present)
    return max(alike) >= _ALIKE or any(
        max(_agreement(values, times + pd.Timedelta(hours=hours), present)) >= _ALIKE
        for hours in (_ZONES if max(alike) >= _PERHAPS else ())
    )


def _agreement(values: pd.Series, times: pd.Series, present: np.ndarray) -> list[float]:
    """Return the share of rows in which values equal each part of the times.

    The most frequent value may agree by chance, such as where there are no weekends, so the others must agree too.
    """
    is_number = values.dtype == "float64"
    parts = [part for part in _parts(times) if (part.dtype == "float64") == is_number]
    rarer = present & (values != values.mode().iloc[0]).to_numpy()
    equal = [values.to_numpy() == part.to_numpy() for part in parts]
    return [float(min(same[present].mean(), same[rarer].mean() if rarer.any() else 0.0)) for same in equal]


def _is_hour(values: pd.Series, times: pd.Series) -> bool:
    """Return whether numbers are the hour of the times, in UTC or another zone."""
    whole = values.dropna()
    if whole.nunique() < 6 or not whole.between(0, 23).all() or times.dt.hour.nunique() < 6:
        return False
    shifts = ((whole - times.dt.hour[whole.index]) % 24).to_numpy()
    counts = np.sort(np.unique(shifts, return_counts=True)[1])[::-1]
    return bool(counts[:_SHIFTS].sum() >= _ALIKE * len(whole))
