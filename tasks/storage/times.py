"""Times in UTC to the microsecond, and the times that stand for "not known"."""

from datetime import date, datetime

import pandas as pd

EARLIEST, LATEST = pd.Timestamp("0001-01-03", tz="UTC"), pd.Timestamp("2200-01-01", tz="UTC")
"""Times beyond these say that the time is not known, such as 9999-12-31 or 0001-01-01."""


KNOWN_BETWEEN = EARLIEST.to_pydatetime(), LATEST.to_pydatetime()
"""Times up to the first and from the second one say "not known"."""


def says_unknown(at: datetime) -> bool:
    """Return whether a time says "not known", such as 9999-12-31.

    Args:
        at: The time, with a zone.
    """
    return at <= KNOWN_BETWEEN[0] or at >= KNOWN_BETWEEN[1]


def without_sentinels(times: pd.Series) -> pd.Series:
    """Return times with those that say "not known", such as 9999-12-31, as missing.

    Args:
        times: Times in UTC, in microseconds; shape (rows,).
    """
    unknown = (times >= LATEST) | (times <= EARLIEST)
    return times.mask(unknown) if unknown.any() else times


def as_times(column: pd.Series) -> pd.Series:
    """Return times in UTC to the microsecond; without a zone they are UTC.

    A value that is no time becomes missing, and so does a time that says "not known".
    """
    return without_sentinels(utc_times(column))


def utc_times(column: pd.Series) -> pd.Series:
    """Return times in UTC to the microsecond, with those that say "not known"; a value that is no time is missing."""
    if is_time(column):
        return pd.to_datetime(column, utc=True).dt.as_unit("us")
    nothing = pd.Series(pd.NaT, index=column.index, dtype="datetime64[us, UTC]")
    if pd.api.types.is_numeric_dtype(column.dtype) or column.isna().all():
        return nothing
    if column.dtype == object and pd.api.types.infer_dtype(column, skipna=True) in {"datetime", "date"}:
        return pd.to_datetime(column, utc=True, errors="coerce").dt.as_unit("us")
    texts = column.map(_time_text, na_action="ignore").astype("str")
    return pd.to_datetime(texts, format="ISO8601", utc=True, errors="coerce").dt.as_unit("us")


def _time_text(value: object) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value).strip()


def is_time(column: pd.Series) -> bool:
    """Return whether a column holds times, and not texts of them."""
    return isinstance(column.dtype, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_dtype(column.dtype)
