"""The times of a source: read them as UTC, and cut rows to a window of event time."""

from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from everfit.blocks.errors import SourceError
from everfit.blocks.spec import ColumnRoles
from everfit.tasks.core.records import Window
from everfit.tasks.sources.numbered_times import is_numbered, numbered_times
from everfit.tasks.storage.times import EARLIEST, LATEST, without_sentinels
from everfit.tasks.storage.values import FAULTS

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pds

    from everfit.blocks.sources import Source


def time_filter(schema: "pa.Schema", event_time: str | None, window: Window) -> "pds.Expression | None":
    """Return the window as a filter that can skip files by their statistics, or None for other types of columns."""
    import pyarrow as pa
    import pyarrow.dataset as pds

    if event_time is None or event_time not in schema.names or not pa.types.is_timestamp(schema.field(event_time).type):
        return None
    kind, time = schema.field(event_time).type, pds.field(event_time)

    def at(moment: datetime) -> pd.Timestamp:
        stamp = pd.Timestamp(moment)
        return stamp if kind.tz else stamp.tz_convert(None)  # times without a zone are UTC

    condition = time < at(window.until)
    if window.since is not None:
        condition &= time >= at(window.since)
        condition |= time.isin([at(moment) for moment in PLACEHOLDERS])
        if kind.unit != "ns":  # nanoseconds begin in 1677
            condition |= time <= at(EARLIEST)
    # Keep rows without a time that is known: they go to quarantine and must not get lost.
    return condition | time.is_null() | (time >= at(LATEST))


def dated(
    frame: pd.DataFrame, roles: ColumnRoles, source: "Source | None", where: str, mixed: set[str] | None = None
) -> pd.DataFrame:
    """Convert the times of a frame to UTC, and record rows with a missing or unreadable time in `_faults`.

    Args:
        frame: The rows, indexed from 0.
        roles: Roles of the columns.
        source: Source that says how times are written; None for ISO 8601.
        where: Name of the file or table for error messages.
        mixed: Takes the columns of which some times have a zone and others don't.

    Raises:
        SourceError: If a time column holds something else.
    """
    faults: dict[int, str] = {}
    for name in filter(None, (roles.event_time, roles.label_time)):
        if name not in frame.columns:
            continue
        written = None if source is None else _format_of(name, roles, source)
        setting = "time_format" if name == roles.event_time else "label_time_format"
        given = frame[name]
        if mixed is not None and written is None and has_mixed_zones(given):
            mixed.add(name)
        times = read_times(given, written, f"{where}: {name!r}", setting)
        bad = np.flatnonzero(times.isna() & given.notna())
        for row, value in zip(bad.tolist(), given.iloc[bad].tolist(), strict=True):
            faults[row] = faults.get(row, "") + f"{name}: {str(value)[:60]!r} is not a time; "
        frame[name] = known_times(times)
        if name == roles.event_time:
            nowhere = np.flatnonzero(frame[name].isna())
            for row, value in zip(nowhere.tolist(), given.iloc[nowhere].tolist(), strict=True):
                faults.setdefault(row, f"{name}: {_without_time(value)}; ")
    if faults:
        frame[FAULTS] = pd.Series(faults, dtype="str").reindex(frame.index, fill_value="")
    return frame


PLACEHOLDERS = pd.to_datetime(["1753-01-01", "1899-12-30", "1900-01-01", "1970-01-01"], utc=True).as_unit("us")
"""Where databases and spreadsheets begin to count."""

_GAP = pd.Timedelta(days=30 * 365)


def known_times(times: pd.Series) -> pd.Series:
    """Return times with those as missing that say "not known".

    These are such as 9999-12-31, and those at which databases begin to count if all others are decades later.

    Args:
        times: Times in UTC, in microseconds; shape (rows,).
    """
    times = without_sentinels(times)
    placeholders = times.isin(PLACEHOLDERS)
    if not placeholders.any():
        return times
    first = times[~placeholders].min()
    return times.mask(placeholders & (times < first - _GAP))


def _without_time(value: object) -> str:
    """Return why a row has no event time: it has none, or one such as 9999-12-31."""
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return "the row has no event time"
    return f"the row has no event time, since {str(value)[:60]!r} says that it is not known"


def _format_of(name: str, roles: ColumnRoles, source: "Source") -> str | None:
    """Return the format of a time column; None for ISO 8601."""
    if name == roles.label_time and source.label_time_format is not None:
        return None if source.label_time_format == "iso" else source.label_time_format
    return source.time_format


def within(frame: pd.DataFrame, roles: ColumnRoles, window: Window) -> pd.DataFrame:
    """Return the rows of a window, and the rows without a time, which go to quarantine later."""
    if roles.event_time is None or roles.event_time not in frame.columns:
        return frame
    times = frame[roles.event_time]
    inside = times < window.until
    if window.since is not None:
        inside &= times >= window.since
    selected = inside | times.isna()
    return frame if selected.all() else frame[selected].reset_index(drop=True)


def read_times(column: pd.Series, time_format: str | None, what: str, setting: str = "time_format") -> pd.Series:
    """Parse times as UTC; times without a zone count as UTC, and single unreadable values become missing.

    Args:
        column: The values; shape (rows,).
        time_format: A strptime format, a name such as `epoch_s` or `excel`; ISO 8601 by default.
        what: Name of the column for error messages.
        setting: The key of the source that says how they are written.

    Returns:
        Times in UTC, in microseconds; shape (rows,).

    Raises:
        SourceError: If more than half of the values can't be read.
    """
    if column.dtype == "datetime64[us, UTC]":
        return column
    if isinstance(column.dtype, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_dtype(column.dtype):
        return pd.to_datetime(column, utc=True).dt.as_unit("us")
    if column.isna().all():
        return pd.Series(pd.NaT, index=column.index, dtype="datetime64[us, UTC]")
    try:
        times = _parsed(column, time_format)
    except (ValueError, TypeError, OverflowError) as error:
        raise SourceError(f"{what} can't be read as times: {str(error).splitlines()[0]}; {_advice(setting)}") from error
    unread = times.isna() & column.notna()
    if unread.sum() * 2 > column.notna().sum():
        raise SourceError(f"{what} can't be read as times, such as {column[unread].tolist()[0]!r}; {_advice(setting)}")
    in_microseconds: pd.Series = times.dt.as_unit("us")
    return in_microseconds


_ZONE = r"[T ]\d\d.*(?:Z|z|[+-]\d\d(?::?\d\d)?)$"


def has_mixed_zones(column: pd.Series) -> bool:
    """Return whether some texts of times have a zone and others don't, which are then UTC.

    Args:
        column: Times as they are written; other values than texts say nothing.
    """
    if not pd.api.types.is_string_dtype(column.dtype):
        return False
    with_zone = column.dropna().astype("str").str.strip().str.contains(_ZONE, regex=True)
    return bool(with_zone.any() and not with_zone.all())


def _advice(setting: str) -> str:
    return f"set source.{setting} to the format of its times, such as '%d.%m.%Y %H:%M', epoch_s or excel"


def _parsed(column: pd.Series, time_format: str | None) -> pd.Series:
    if time_format is not None and is_numbered(time_format):
        return numbered_times(column, time_format)
    if pd.api.types.is_numeric_dtype(column.dtype):
        if time_format is None:
            raise ValueError(f"{column.dropna().tolist()[0]!r} is a number")
        column = column.map(lambda value: f"{value:.0f}", na_action="ignore")
    if pd.api.types.infer_dtype(column, skipna=True) in {"datetime", "date"}:
        return pd.to_datetime(column, utc=True, errors="coerce")
    texts: pd.Series = column.astype("str")
    return pd.to_datetime(texts, format=time_format or "ISO8601", utc=True, errors="coerce")
