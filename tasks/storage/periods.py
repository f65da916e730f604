"""Choose how much time one partition of a table covers, by the amount of rows.

A partition of each day suits thousands of rows a day. Twenty years of a few rows a day are thousands of files, and each
costs every reader a millisecond or more. Such a table has a partition of each month or year: its rows hold the first
day of their period in place of their day.
"""

from datetime import date
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

Period = Literal["day", "month", "year"]

PROPERTY = "everfit.period"
"""Property of a Delta table: the period of its partitions. Older rows may have finer ones."""

_FEW_PARTITIONS = 200
_ENOUGH_ROWS = 1_000
"""The number of partitions that are read quickly, and the mean number of rows from which any number of them is."""


def is_longer(period: Period, other: Period) -> bool:
    """Return whether a period is longer than another."""
    periods = get_args(Period)
    return bool(periods.index(period) > periods.index(other))


def first_day(day: date, period: Period) -> date:
    """Return the first day of the period of a day.

    Example:
        >>> first_day(date(2024, 5, 17), "month"), first_day(date(2024, 5, 17), "year")
        (datetime.date(2024, 5, 1), datetime.date(2024, 1, 1))
    """
    if period == "day":
        return day
    return day.replace(day=1) if period == "month" else day.replace(month=1, day=1)


def first_days(days: "pa.ChunkedArray", period: Period) -> "pa.ChunkedArray":
    """Return the first day of the period of each of some days."""
    import pyarrow.compute as pc

    return days if period == "day" else pc.floor_temporal(days, unit=period)


def fitting_period(days: npt.NDArray[np.int32], rows: npt.NDArray[np.int64]) -> Period:
    """Return the shortest period whose partitions are few, or have enough rows on average.

    Args:
        days: The days that have rows, in days since 1970; shape (days,).
        rows: The number of rows of each; shape (days,).

    Example:
        >>> week, decades = np.arange(7, dtype=np.int32), np.arange(7_300, dtype=np.int32)
        >>> fitting_period(week, np.ones(7, dtype=np.int64)), fitting_period(decades, np.ones(7_300, dtype=np.int64))
        ('day', 'year')
    """
    total = int(rows.sum())
    for period in get_args(Period):
        unit = {"day": "D", "month": "M", "year": "Y"}[period]
        partitions = len(np.unique(days.astype("datetime64[D]").astype(f"datetime64[{unit}]")))
        if partitions <= _FEW_PARTITIONS or total >= _ENOUGH_ROWS * partitions:
            return period  # type: ignore[no-any-return]
    return "year"
