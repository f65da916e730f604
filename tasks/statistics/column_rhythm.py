"""Find hours in which a column has far fewer values, or other ones, than the same hours of earlier weeks. Pure.

As for volume, each span is forecast from the same span of the weeks before (their median, and the shift of the last two
weeks), and the bounds come from the errors of the same forecast in earlier weeks, by robust quantiles and Student's t.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import AwareDatetime

from everfit.tasks.core.records import Record
from everfit.tasks.statistics.hourly import HourlyTally
from everfit.tasks.statistics.rhythm import DAY, FALSE_ALARMS, WEEK, Floats, median
from everfit.tasks.statistics.volume import LONGEST_HISTORY, VolumeCheck, in_words

LENGTHS = (24, 6)
"""The spans that are judged, in hours."""
FEWEST_ROWS = 30
"""A span of fewer rows says nothing of shares and means."""
FEWEST_WEEKS = 6
"""With fewer whole weeks the errors of the forecasts are not known."""
SMALLEST_JUMP = 0.1
"""A smaller rise of the share of missing values is no incident."""
SMALLEST_SHIFT = 0.1
"""A mean that moves by less is no incident: a share of the deviation among the means of earlier spans."""
SMALLEST_CHANGE = 0.01
"""The same for a column whose mean was always equal: a share of that mean."""
_WEEKS, _ERROR_WEEKS = 10, 26
_FREEDOM = 10
"""Degrees of freedom of the errors, whose tails are heavier than normal ones."""


class UnusualValues(Record):
    """A column whose values are missing, or are unlike the same hours before."""

    column: str
    kind: Literal["missing", "mean"]
    since: AwareDatetime
    until: AwareDatetime
    value: float
    low: float
    high: float
    weeks: int

    @property
    def summary(self) -> str:
        """The figures in words."""
        hours, days = in_words(self.since, self.until), f"{self.weeks} {self.since:%A}s"
        if self.kind == "missing":
            share, at_most = _told_apart(self.value, max(0.0, self.high), formats=(".0%", ".1%", ".3%", ".9%"))
            return (
                f"{self.column}: {share} of the values are missing {hours}; at most {at_most} were expected from {days}"
            )
        mean, bound = _told_apart(self.value, self.low if self.value < self.low else self.high)
        low, high = (bound, f"{self.high:.4g}") if self.value < self.low else (f"{self.low:.4g}", bound)
        return f"{self.column}: the mean is {mean} {hours}; between {low} and {high} was expected from {days}"


def _told_apart(
    value: float, bound: float, formats: tuple[str, ...] = (".4g", ".6g", ".9g", ".17g")
) -> tuple[str, str]:
    """Return a value and the bound that it is beyond, with as many digits as make them differ."""
    for digits in formats:
        shown, limit = format(value, digits), format(bound, digits)
        if shown != limit:
            break
    return shown, limit


@dataclass(frozen=True)
class _Judged:
    """The hours of a week that are judged, shape (168,), its first hour, and the share of false alarms of a span."""

    hours: npt.NDArray[np.bool_]
    start: int
    level: float


def check_column_rhythm(tally: HourlyTally, since: int, until: int, volume: VolumeCheck) -> tuple[UnusualValues, ...]:
    """Judge the columns in the hours of a span by the hours before, at most the last week of it.

    Args:
        tally: The rows up to the end of the span.
        since: First hour to judge, in hours since 1970.
        until: The hour after the last one to judge.
        volume: The check of the rows; a day of unusual volume is not judged, since its rows are others.
    """
    rows = tally.volume(until)
    if rows is None or not tally.filled:
        return ()
    end = -(-until // DAY) * DAY
    weeks = min(LONGEST_HISTORY // WEEK, -(-(end - rows.first) // WEEK)) + 1
    judged = np.arange(end - WEEK, end)
    is_judged = (judged >= since) & (judged < until) & ~_of_unusual_days(judged, volume)
    counts = rows.week_rows(end, weeks)
    level = FALSE_ALARMS / 2 / (2 * len(tally.filled)) / sum(WEEK / hours for hours in LENGTHS)
    judgement = _Judged(is_judged, end - WEEK, level)
    unusual: list[UnusualValues] = []
    for name in tally.filled:
        filled, totals = tally.values(name, until), tally.totals(name, until)
        assert filled is not None  # noqa: S101 - there are rows
        present = filled.week_rows(end, weeks)
        found = list(_unusual(name, "missing", counts - present, counts, judgement))
        if totals is not None and not found:
            found += _unusual(name, "mean", totals.week_rows(end, weeks), present, judgement)
        unusual += [values for _, values in sorted(found, key=lambda pair: -pair[0])[:1]]
    return tuple(unusual)


def _of_unusual_days(hours: npt.NDArray[np.int64], volume: VolumeCheck) -> npt.NDArray[np.bool_]:
    days = {f"{span.since:%Y-%m-%d}" for span in volume.unusual} | set(volume.excused_days)
    return np.array([f"{_moment(int(hour)):%Y-%m-%d}" in days for hour in hours])


def _unusual(
    column: str, kind: Literal["missing", "mean"], totals: Floats, counts: Floats, judged: _Judged
) -> Iterator[tuple[float, UnusualValues]]:
    """Yield unusual values, each with its distance as a multiple of the bound's."""
    from scipy.stats import t

    for hours in LENGTHS:
        shape = (len(counts), WEEK // hours, hours)
        rows, sums = counts.reshape(shape).sum(axis=2), totals.reshape(shape).sum(axis=2)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.where(rows >= FEWEST_ROWS, sums / rows, np.nan)
        values[-1, ~judged.hours.reshape(shape[1:]).all(axis=1)] = np.nan
        expected = _forecasts(values)
        errors = (values - expected)[-1 - _ERROR_WEEKS : -1]
        weeks = int((~np.isnan(errors)).any(axis=1).sum())
        if weeks < FEWEST_WEEKS - 3:
            continue
        sizes = np.abs(errors[~np.isnan(errors)])
        spread = max(float(np.quantile(sizes, 0.5)) / 0.6745, float(np.quantile(sizes, 0.9)) / 1.645)
        noise = np.zeros(values.shape[1])
        if kind == "missing":
            likely = np.clip(expected[-1], 0.005, 0.995)
            noise = np.sqrt(likely * (1 - likely) / np.maximum(rows[-1], 1))
        room = float(t.ppf(1 - judged.level / 2, _FREEDOM)) * np.sqrt(spread**2 * (1 + 1 / weeks) + noise**2)
        least = (
            SMALLEST_JUMP if kind == "missing" else max(float(np.sort(sizes)[-2:].min()), _smallest_shift(values[:-1]))
        )
        room = np.maximum(room, least)
        error = values[-1] - expected[-1]
        with np.errstate(invalid="ignore"):
            beyond = error > room if kind == "missing" else (np.abs(error) > room) & (np.abs(error) > 0)
        for place in np.flatnonzero(beyond).tolist():
            values_there = UnusualValues(
                column=column,
                kind=kind,
                since=_moment(judged.start + place * hours),
                until=_moment(judged.start + (place + 1) * hours),
                value=float(values[-1, place]),
                low=float(expected[-1, place] - room[place]),
                high=float(expected[-1, place] + room[place]),
                weeks=int((~np.isnan(values[:-1, place])).sum()),
            )
            yield float(abs(error[place]) / room[place]), values_there


def _smallest_shift(values: Floats) -> float:
    """Return the smallest shift of a mean that is news, from the means of earlier weeks; shape (weeks, spans).

    A column that was the same on each weekday has forecasts without errors, and a single odd row must not be news.
    """
    deviation = float(np.nanstd(values))
    usual = float(np.nanmean(np.abs(values)))
    return SMALLEST_SHIFT * deviation if deviation > 1e-9 * usual else SMALLEST_CHANGE * usual


def _forecasts(values: Floats) -> Floats:
    """Return the forecast of each week and span from the weeks before it, shape (weeks, spans)."""
    usual = np.full(values.shape, np.nan)
    for week in range(2, len(values)):
        usual[week] = median(values[max(0, week - _WEEKS) : week])
    shift = np.zeros(len(values))
    for week in range(3, len(values)):
        errors = (values - usual)[max(2, week - 2) : week]
        if (~np.isnan(errors)).any():
            shift[week] = float(np.nanmedian(errors))
    expected: Floats = usual + shift[:, None]
    return expected


def _moment(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * 3_600, UTC)
