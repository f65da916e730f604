"""Find the hours in which far fewer or far more rows came than expected by the rhythm of the hours before. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
from pydantic import AwareDatetime, Field

from everfit.tasks.core.records import Record
from everfit.tasks.statistics.hourly import Hourly
from everfit.tasks.statistics.quiet_days import is_known_kind
from everfit.tasks.statistics.rhythm import DAY, FEWEST_WEEKS, FULL_WEEKS, WEEK, Rhythm

LONGEST_HISTORY = 60 * WEEK
"""In hours; more than a year, so that a holiday of last year is known."""
_HOUR = 3_600
_LATE = 3
"""Hours by which rows may come earlier or later than usual."""


class UnusualHours(Record):
    """Consecutive hours with too few or too many rows."""

    since: AwareDatetime
    until: AwareDatetime
    rows: int
    mean: float = Field(description="Expected number of rows.")
    low: float
    high: float
    weeks: int = Field(description="Number of weeks that it was learnt from.")

    @property
    def few(self) -> bool:
        """Whether they are too few."""
        return self.rows < self.low

    @property
    def summary(self) -> str:
        """The figures in words."""
        return f"{self.rows:,} rows {self.words}; {self.expected}"

    @property
    def words(self) -> str:
        """The hours in words, such as `on Monday 2026-11-23 10:00-12:00 UTC`."""
        return in_words(self.since, self.until)

    @property
    def expected(self) -> str:
        """The bounds in words, and how much history they have."""
        days = f"{self.since:%A}s" if self.until - self.since <= timedelta(hours=DAY) else "weeks"
        few = "" if self.weeks >= FULL_WEEKS else ", so few that the bounds are wide"
        return f"between {self.low:,.0f} and {self.high:,.0f} were expected from {self.weeks} {days}{few}"


class VolumeCheck(Record):
    """Whether the rows of some hours follow their rhythm."""

    weeks: int = Field(description="Whole weeks of history.")
    unusual: tuple[UnusualHours, ...] = ()
    excused_days: tuple[str, ...] = Field(default=(), description="Days that are like earlier unusual days.")
    expected: float | None = Field(default=None, description="Rows expected of all judged hours.")

    @property
    def learnt(self) -> bool:
        """Whether there was enough history."""
        return self.weeks >= FEWEST_WEEKS


def check_volume(hourly: Hourly, since: int, until: int) -> VolumeCheck:
    """Judge the hours of a span by the hours before.

    Each week is judged by all weeks before it, so a long span is judged by its own beginning, too. A span without any
    row is not: its silence would become a habit.

    Args:
        hourly: Rows by hour up to the end of the span; a first hour that is known in part only makes a difference of
            one hour.
        since: First hour to judge, in hours since 1970.
        until: The hour after the last one to judge.
    """
    last = -(-until // DAY) * DAY
    ends = sorted(range(last, since, -WEEK))
    known, unusual, excused, expected = 0, [], [], 0.0
    for end in ends:
        judged = slice(max(since, end - WEEK) - (end - WEEK), min(until, end) - (end - WEEK))
        judgement = _judge(hourly, end, judged)
        if judgement is None:
            if not hourly.rows[max(0, since - hourly.first) : max(0, until - hourly.first)].any():
                return VolumeCheck(weeks=0)
            continue
        known = judgement.weeks
        unusual += judgement.unusual
        excused += judgement.excused
        expected += judgement.expected
    unusual.sort(key=lambda hours: -abs(hours.rows - hours.mean))
    return VolumeCheck(
        weeks=known, unusual=tuple(unusual), excused_days=tuple(excused), expected=expected if known else None
    )


@dataclass(frozen=True)
class _Judgement:
    weeks: int
    unusual: list[UnusualHours]
    excused: list[str]
    expected: float


def _judge(hourly: Hourly, end: int, judged: slice) -> _Judgement | None:
    """Judge some hours of the week before an hour; None if the history is too short."""
    weeks = min(LONGEST_HISTORY // WEEK, -(-(end - hourly.first) // WEEK)) + 1
    best: _Judgement | None = None
    for shift in (0, -1, 1):  # a change to summer time moves all habits by an hour, and is no incident
        rows = hourly.week_rows(end, weeks, shift)
        present = np.full(WEEK, np.nan)
        present[judged] = rows[-1, judged]
        rhythm = Rhythm(np.vstack([rows[:-1], present]))
        if rhythm.known < FEWEST_WEEKS:
            return None
        judgement = _judgement(rhythm, end - WEEK)
        if best is None or _hours(judgement) < _hours(best) / 2:
            best = judgement
        if not best.unusual:
            break
    return best


def _judgement(rhythm: Rhythm, start: int) -> _Judgement:
    excused: list[int] = []
    unusual: list[UnusualHours] = []
    for few in (True, False):
        marked = rhythm.unusual_hours(few=few)
        for day in range(7):
            hours = slice(day * DAY, (day + 1) * DAY)
            if marked[hours].any() and is_known_kind(rhythm, day):
                marked[hours] = False
                excused.append(day)
        unusual += [_unusual(rhythm, span, start) for span in _stretches(marked) if not _is_moved(rhythm, span)]
    forecast = rhythm.of_lengths[1][1][-1]
    expected = float(np.nansum(np.where(np.isnan(rhythm.weeks[-1]), np.nan, forecast)))
    days = [f"{_moment(start + day * DAY):%Y-%m-%d}" for day in sorted(set(excused))]
    return _Judgement(rhythm.known, unusual, days, expected)


def _is_moved(rhythm: Rhythm, span: slice) -> bool:
    """Return whether the hours around make up for most of what is missing: rows that are late are not missing."""
    known = np.flatnonzero(~np.isnan(rhythm.weeks[-1]))
    wide = slice(max(int(known[0]), span.start - _LATE), min(int(known[-1]) + 1, span.stop + _LATE))
    difference, around = (float(rhythm.sums(hours)[-1] - rhythm.expect(hours).mean[0]) for hours in (span, wide))
    return abs(around) < abs(difference) / 2


def _hours(judgement: _Judgement) -> float:
    return sum((hours.until - hours.since).total_seconds() / _HOUR for hours in judgement.unusual)


def _unusual(rhythm: Rhythm, span: slice, start: int) -> UnusualHours:
    expected = rhythm.expect(span)
    return UnusualHours(
        since=_moment(start + span.start),
        until=_moment(start + span.stop),
        rows=int(rhythm.sums(span)[-1]),
        mean=round(float(expected.mean[0]), 1),
        low=float(expected.low[0]),
        high=float(expected.high[0]),
        weeks=rhythm.known,
    )


def _stretches(marked: npt.NDArray[np.bool_]) -> Iterator[slice]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], marked, [False]]).astype(np.int8)))
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        yield slice(first, last)


def _moment(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * _HOUR, UTC)


def in_words(since: datetime, until: datetime) -> str:
    """Return a span of hours in words, such as `on Monday 2026-11-23 10:00-12:00 UTC`."""
    day = f"on {since:%A} {since:%Y-%m-%d}"
    if until - since <= timedelta(hours=DAY) and (until - timedelta(seconds=1)).date() == since.date():
        whole = until - since == timedelta(hours=DAY)
        return day if whole else f"{day} {since:%H:%M}-{'24:00' if until.hour == 0 else format(until, '%H:%M')} UTC"
    return f"from {since:%A} {since:%Y-%m-%d %H:%M} to {until:%A} {until:%Y-%m-%d %H:%M} UTC"
