"""Times, spans of time, parts of dates and texts that are mostly dates, as `everfit init` treats them as features."""

from collections.abc import Iterable

import pandas as pd

from everfit.deployments.init.look import Look
from everfit.deployments.init.names import is_named_as_birth, is_named_as_date_part
from everfit.deployments.init.proposal import Proposal

_UNITS = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
_LEAST_ROWS, _AGREE, _LATER = 30, 0.95, 0.9
_LEAST_SPREAD = 5.0
"""Standard deviation in the span's unit; a narrower span agrees with many columns by chance."""

_DATE = r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}(?:[ T].*)?"
_MOSTLY_DATES = 0.5


def why_its_time_is_no_feature(column: pd.Series, seen: Look, event_time: str | None) -> str | None:
    """Return why a column of times, of dates as text or of a part of the event time is no feature; None for others.

    Args:
        column: The column.
        seen: The look at the data.
        event_time: Column of the event time.
    """
    if column.name in seen.times:
        what = "a birth; derive an age" if is_named_as_birth(column.name) else "a time; derive features"
        return f"{what} from it in the source if it is informative"
    if (other := _other_than_dates(column)) is not None:
        return f"mostly dates, and other texts such as {other!r}; derive features from it in the source"
    if event_time is not None and is_named_as_date_part(column.name) and _is_part_of(column, seen.frame[event_time]):
        return "part of the event time: later rows have values that no model has seen"
    return None


def mark_spans(seen: Look, made: Proposal) -> None:
    """Leave out how long the label took, and mark features that are the span from the event to another later time.

    Args:
        seen: The look at the data.
        made: The proposal with its features.
    """
    if made.event_time is None:
        return
    for name, later in _spans_after_the_event(seen.frame, made.event_time, seen.times, made.features).items():
        if later == made.label_time:
            made.features.remove(name)
            made.ignored[name] = f"leak: it is the time from {made.event_time} to {later}, when the label becomes known"
        else:
            made.doubtful[name] = (
                f"the time from {made.event_time} to {later}: ignore it unless {later} is known before the event"
            )


def _spans_after_the_event(
    frame: pd.DataFrame, event_time: str, times: Iterable[str], columns: list[str]
) -> dict[str, str]:
    """Return the columns that are the span from the event to a later time, with that time's column.

    A day more or less, as some count, makes no difference.

    Args:
        frame: A sample of the rows.
        event_time: Column of the event time.
        times: Columns of times.
        columns: Columns that may be spans.
    """
    found: dict[str, str] = {}
    numeric = [name for name in columns if pd.api.types.is_numeric_dtype(frame[name].dtype)]
    for later in times:
        gap = (frame[later] - frame[event_time]).dt.total_seconds()
        if later == event_time or gap.notna().sum() < _LEAST_ROWS or (gap.dropna() >= 0).mean() < _LATER:
            continue
        for name in numeric:
            if name not in found and _is_span(frame[name].astype("float64"), gap):
                found[name] = later
    return found


def _is_span(column: pd.Series, gap: pd.Series) -> bool:
    both = column.notna() & gap.notna()
    if both.sum() < _LEAST_ROWS or both.sum() < _AGREE * column.notna().sum():
        return False
    for seconds in _UNITS.values():
        span = gap[both] / seconds
        if span.std() > _LEAST_SPREAD and ((span - column[both]).abs() <= 1).mean() >= _AGREE:
            return True
    return False


def _other_than_dates(column: pd.Series) -> str | None:
    """Return a text that is no date, if the texts of a column are mostly dates; None for other columns."""
    present = column.dropna()
    if pd.api.types.is_numeric_dtype(present.dtype) or not pd.api.types.is_string_dtype(present.dtype):
        return None
    texts = present.iloc[:1_000].astype("str").str.strip()
    ranges = texts.str.contains(r"\d\s+(?:-|to)\s+\d", regex=True)
    dates = texts.str.fullmatch(_DATE) & ~ranges
    if len(texts) < _LEAST_ROWS or not _MOSTLY_DATES <= dates.mean() < 1:
        return None
    return str(texts[~dates].iloc[0])


def _is_part_of(column: pd.Series, times: pd.Series) -> bool:
    """Return whether a column is the year, month or day of the times. An hour recurs daily and may be informative."""
    if not pd.api.types.is_numeric_dtype(column.dtype):
        return False
    zone = times.dt
    parts = (zone.year, zone.month, zone.day, zone.quarter, zone.dayofyear, zone.isocalendar().week)
    return any(float((column == part.astype("float64")).mean()) > 0.9 for part in parts)
