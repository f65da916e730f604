"""Count the rows of a table by hour of event time, and for each column its values and their sum. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.tasks.statistics.rhythm import WEEK, Floats

_HOUR = 3_600


@dataclass(frozen=True)
class Hourly:
    """A figure by hour.

    Attributes:
        first: The first hour, in hours since 1970 in UTC.
        rows: The figure of each hour from there on, usually the number of rows; shape (hours,).
    """

    first: int
    rows: Floats

    @property
    def end(self) -> int:
        """The hour after the last."""
        return self.first + len(self.rows)

    def week_rows(self, end: int, weeks: int, shift: int = 0) -> Floats:
        """Return the figures of the weeks before an hour, shape (weeks, 168); NaN where they are not known.

        Args:
            end: The hour.
            weeks: Number of weeks.
            shift: Hours by which all weeks but the last are moved, as summer time moves them.
        """
        hours = np.arange(end - weeks * WEEK, end)
        hours[:-WEEK] += shift
        there = (hours >= self.first) & (hours < self.end)
        rows = np.full(len(hours), np.nan)
        rows[there] = self.rows[hours[there] - self.first]
        return rows.reshape(weeks, WEEK)


@dataclass
class HourlyTally:
    """Rows by hour, gathered chunk by chunk.

    Attributes:
        rows: Number of rows by hour since 1970.
        filled: For each column, the number of its values by hour.
        sums: For each numeric column, the sum of its values by hour.
    """

    rows: dict[int, float] = field(default_factory=dict)
    filled: dict[str, dict[int, float]] = field(default_factory=dict)
    sums: dict[str, dict[int, float]] = field(default_factory=dict)

    def add(self, chunks: Iterable[pd.DataFrame], time: str, columns: Sequence[str] = ()) -> "HourlyTally":
        """Count further rows; those without a time are passed over.

        Args:
            chunks: The rows.
            time: The column of the event time.
            columns: The columns whose values are counted, too.
        """
        for chunk in chunks:
            rows = chunk[chunk[time].notna()]
            if rows.empty:
                continue
            hours = hours_of(rows[time])
            first = int(hours.min())
            places = hours - first
            _gather(self.rows, first, np.bincount(places))
            for name in columns:
                if name not in rows:
                    continue
                there = rows[name].notna().to_numpy()
                _gather(self.filled.setdefault(name, {}), first, np.bincount(places[there]))
                if pd.api.types.is_numeric_dtype(rows[name].dtype) and not pd.api.types.is_bool_dtype(rows[name].dtype):
                    values = rows[name].to_numpy(dtype=np.float64, na_value=np.nan)
                    finite = np.isfinite(values)
                    summed = np.bincount(places[finite], weights=values[finite])
                    _gather(self.sums.setdefault(name, {}), first, summed)
        return self

    def merge(self, other: "HourlyTally") -> None:
        """Add what was counted of other rows."""
        _merge(self.rows, other.rows)
        for mine, theirs in ((self.filled, other.filled), (self.sums, other.sums)):
            for name, figures in theirs.items():
                _merge(mine.setdefault(name, {}), figures)

    def volume(self, until: int) -> Hourly | None:
        """Return the rows of every hour up to one, or None without any row."""
        return self._of(self.rows, until)

    def values(self, column: str, until: int) -> Hourly | None:
        """Return the number of a column's values of every hour up to one, or None without any row."""
        return self._of(self.filled.get(column, {}), until)

    def totals(self, column: str, until: int) -> Hourly | None:
        """Return the sum of a column's values of every hour up to one, or None if it isn't numeric."""
        return self._of(self.sums[column], until) if column in self.sums else None

    def _of(self, figures: dict[int, float], until: int) -> Hourly | None:
        if not self.rows or min(self.rows) >= until:
            return None
        first = min(self.rows)
        rows = np.zeros(until - first)
        for hour, figure in figures.items():
            if hour < until:
                rows[hour - first] = figure
        return Hourly(first, rows)


def hours_of(times: pd.Series) -> npt.NDArray[np.int64]:
    """Return the hours since 1970 of times, which must all be known."""
    if not isinstance(times.dtype, pd.DatetimeTZDtype):
        times = pd.to_datetime(times, utc=True)  # of times it would first look at thousands, one by one
    moments = pd.DatetimeIndex(times).tz_convert("UTC").tz_localize(None).to_numpy()
    return moments.astype("datetime64[h]").astype(np.int64)


def _gather(figures: dict[int, float], first: int, added: npt.NDArray[np.generic]) -> None:
    places = np.flatnonzero(added)
    hours, values = (places + first).tolist(), added[places].astype(np.float64).tolist()
    if not figures:
        figures.update(zip(hours, values, strict=True))
        return
    for hour, value in zip(hours, values, strict=True):
        figures[hour] = figures.get(hour, 0.0) + value


def _merge(figures: dict[int, float], added: dict[int, float]) -> None:
    for hour, figure in added.items():
        figures[hour] = figures.get(hour, 0.0) + figure
