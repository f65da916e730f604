"""Kinds of rows whose labels take longer than those of the other rows. Pure.

Values of single columns are compared by the log-rank test, which counts rows whose labels have not come yet, with
Holm's correction for the number of values. For values that surely differ, the time after which the labels are known is
estimated for the value and for the other rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.tasks.core.segment_delay import SegmentDelay
from everfit.tasks.statistics.holm import holm
from everfit.tasks.statistics.label_delays import FEWEST, label_delays

MOST_COLUMNS = 10
_MOST_VALUES = 12
"""A column with more values is no segment."""
_MOST_SHOWN = 3
_MOST_ROWS = 10_000
_LONGER = 1.25
_LEVEL = 0.001
_SECONDS_OF_DAY = 86_400.0

Flags = npt.NDArray[np.bool_]


def segment_columns(rows: pd.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return the columns that have few values, which may be segments.

    Args:
        rows: The rows.
        columns: The columns to look at, the most important first.
    """
    found = []
    for name in columns:
        if name not in rows or pd.api.types.is_datetime64_any_dtype(rows[name].dtype):
            continue
        values = rows[name].nunique()
        if 2 <= values <= _MOST_VALUES:
            found.append(name)
    return found[:MOST_COLUMNS]


def slow_segments(
    rows: pd.DataFrame,
    columns: Sequence[str],
    event_time: str,
    label_time: str,
    now: "pd.Timestamp",
    *,
    followed: timedelta | None = None,
    maturity: timedelta | None = None,
) -> tuple[SegmentDelay, ...]:
    """Return the kinds of rows whose labels surely take a quarter longer than the others', the slowest first.

    Args:
        rows: The rows with both times and the columns.
        columns: The columns whose values are compared.
        event_time: The column of the event time.
        label_time: The column of the time at which the label became known, missing if it is not known.
        now: The moment of the observation: later labels are not known.
        followed: How long after their event rows were followed at most.
        maturity: The time after the event at which labels should be known, to compare with.
    """
    if len(rows) > _MOST_ROWS:
        rows = rows.sample(_MOST_ROWS, random_state=0).reset_index(drop=True)
    longest = np.inf if followed is None else followed.total_seconds() / _SECONDS_OF_DAY
    observed = _Observed.of(rows[event_time], rows[label_time], now, longest)
    chances: dict[str, float] = {}
    chosen: dict[str, Flags] = {}
    for column in segment_columns(rows, columns):
        for value in rows[column].dropna().unique():
            inside = (rows[column] == value).fillna(False).to_numpy(dtype=np.bool_)
            name = f"{column} = {value}"
            chance = observed.chance(inside)
            if chance is not None:
                chances[name], chosen[name] = chance, inside
    found: list[SegmentDelay] = []
    for name, certain in holm(chances, _LEVEL).items():
        if not certain or len(found) >= 2 * _MOST_SHOWN:
            continue
        own, other = (
            label_delays(part[event_time], part[label_time], now, followed=followed, maturity=maturity)
            for part in (rows[chosen[name]], rows[~chosen[name]])
        )
        if own is None or other is None or own.lower <= other.upper or own.days < _LONGER * other.days:
            continue
        found.append(
            SegmentDelay(
                name=name,
                rows=own.rows,
                days=own.days,
                lower=own.lower,
                upper=own.upper,
                elsewhere=other.days,
                coverage=own.coverage,
                late=own.late,
            )
        )
    return tuple(sorted(found, key=lambda one: -one.days)[:_MOST_SHOWN])


@dataclass(frozen=True)
class _Observed:
    """How long each row was followed, in days, and whether its label came."""

    times: npt.NDArray[np.float64]
    seen: Flags
    usable: Flags

    @classmethod
    def of(
        cls, events: "pd.Series[pd.Timestamp]", known: "pd.Series[pd.Timestamp]", now: "pd.Timestamp", longest: float
    ) -> "_Observed":
        age = (now - events).dt.total_seconds().to_numpy(dtype=np.float64) / _SECONDS_OF_DAY
        delay = (known - events).dt.total_seconds().to_numpy(dtype=np.float64) / _SECONDS_OF_DAY
        seen = (delay >= 0) & (delay <= age)
        times = np.where(seen, delay, age)
        return cls(np.minimum(times, longest), seen & (times <= longest), (age >= 0) & ~(delay < 0))

    def chance(self, inside: Flags) -> float | None:
        """Return the p-value of as different delays of some rows by chance; None with too few labels."""
        from scipy.stats import CensoredData, logrank

        parts = [self.usable & inside, self.usable & ~inside]
        if min(int(self.seen[part].sum()) for part in parts) < FEWEST:
            return None
        if len(np.unique(self.times[self.seen & self.usable])) < 2:
            return None  # all delays are one
        both = [
            CensoredData(uncensored=self.times[part & self.seen], right=self.times[part & ~self.seen]) for part in parts
        ]
        return float(logrank(*both).pvalue)
