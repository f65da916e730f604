"""Read times that are written as numbers: seconds and other units since 1970, and the days of spreadsheets."""

from typing import Literal

import numpy as np
import pandas as pd

Unit = Literal["s", "ms", "us", "ns"]

_UNITS: dict[str, tuple[Unit, str]] = {
    "epoch_s": ("s", "seconds"),
    "epoch_ms": ("ms", "milliseconds"),
    "epoch_us": ("us", "microseconds"),
    "epoch_ns": ("ns", "nanoseconds"),
}
_EXCEL, _EXCEL_START = "excel", pd.Timestamp("1899-12-30", tz="UTC")
"""Spreadsheets count days since then; a part of a day is a fraction."""

_PER_SECOND: dict[Unit, float] = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_EARLY, _LATE = pd.Timestamp("1980", tz="UTC").timestamp(), pd.Timestamp("2200", tz="UTC").timestamp()
"""Other times are doubtful, unless no unit gives one of this century."""
_SINCE, _UNTIL = pd.Timestamp("2000", tz="UTC").timestamp(), pd.Timestamp("2100", tz="UTC").timestamp()
_LAST = 253_402_300_800.0
"""The end of the year 9999, in seconds."""


def is_numbered(time_format: str) -> bool:
    """Return whether a format is of times that are numbers."""
    return time_format in _UNITS or time_format == _EXCEL


def numbered_times(column: pd.Series, time_format: str) -> pd.Series:
    """Return times in UTC; values that are no such numbers become missing.

    Args:
        column: Numbers, or their texts; shape (rows,).
        time_format: One of `epoch_s`, `epoch_ms`, `epoch_us`, `epoch_ns` and `excel`.

    Raises:
        ValueError: If most numbers would be times before 1980 or after 2200, and another unit gives times of this
            century.
    """
    numbers = pd.to_numeric(column, errors="coerce")
    if time_format == _EXCEL:
        days = numbers.where(numbers.abs() < 1e6).astype("float64")
        return _EXCEL_START + pd.to_timedelta((days * 86_400_000).round(), unit="ms")
    unit, name = _UNITS[time_format]
    values = numbers.dropna().to_numpy(dtype=np.float64)
    middle = float(np.median(values)) if len(values) else 0.0
    if not _EARLY <= middle / _PER_SECOND[unit] < _LATE:
        for other, (its_unit, its_name) in _UNITS.items():
            if _SINCE <= middle / _PER_SECOND[its_unit] < _UNTIL:
                raise ValueError(
                    f"{column.dropna().tolist()[0]!r} is a time in {its_name} ({other}), and time_format says {name}"
                )
    return pd.to_datetime(
        numbers.where(numbers.abs() < _LAST * _PER_SECOND[unit]), unit=unit, utc=True, errors="coerce"
    )
