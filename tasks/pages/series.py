"""All looks of a model as columns of numbers, to which each look adds a place. Pure.

A page shows years of hourly looks. The columns keep what its charts need in a few bytes a look, so that a look neither
reads earlier ones again nor makes the page large.
"""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from everfit.tasks.pages.limit_series import LimitSeries
from everfit.tasks.pages.looks import LookSummary
from everfit.tasks.pages.packing import changes, filled, steps_between, sums, to_digits

MINUTE, DAY = 60, 1440
NUMBERS = ("value", "error", "expected", "bound", "estimate", "estimate_error", "coverage", "predictions")
_REPEATED = ("expected", "bound", "champion", "verdict")
"""Columns that rarely change, stored as `[place, value]` where they do."""
_MOST_COLUMNS = 120
_LOOK_FIGURES = (*("error_rate", "p99_ms", "outlier_share", "spool_age_s", "value_per_row"),)
"""Figures that a page draws, if they were measured."""


class Series:
    """The looks of a model, oldest first.

    Attributes:
        minutes: The end of each window, in minutes since 1970.
        columns: By name one value for each look; None where it was not measured.
        days: Days since 1970 with a look that measured drift.
        drift: By column the largest drift of each of these days, as a multiple of the threshold.
        limits: Fairness, calibration and slices by day.
    """

    def __init__(self) -> None:
        self.minutes: list[int] = []
        names = (*NUMBERS, *_LOOK_FIGURES, "champion", "verdict")
        self.columns: dict[str, list[Any]] = {name: [] for name in names}
        self.days: list[int] = []
        self.drift: dict[str, list[float | None]] = {}
        self.limits = LimitSeries()

    def __len__(self) -> int:
        """Return the number of looks."""
        return len(self.minutes)

    def add(self, look: LookSummary) -> None:
        """Add a look; one of the same window takes the place of the earlier one.

        Args:
            look: The look.
        """
        at = int(look.until.timestamp()) // MINUTE
        values: dict[str, Any] = {name: _rounded(getattr(look, name)) for name in NUMBERS}
        values |= {name: _rounded(look.figures.get(name)) for name in _LOOK_FIGURES}
        values |= {"champion": look.champion, "verdict": look.verdict}
        place = len(self.minutes) if not self.minutes or at > self.minutes[-1] else bisect_left(self.minutes, at)
        if place == len(self.minutes) or self.minutes[place] != at:
            self.minutes.insert(place, at)
            for name, column in self.columns.items():
                column.insert(place, values[name])
        else:
            for name, column in self.columns.items():
                column[place] = values[name]
        self._add_drift(at // DAY, look)
        self.limits.add(at // DAY, look.limited)

    def _add_drift(self, day: int, look: LookSummary) -> None:
        levels = look.columns or dict.fromkeys(look.drifted or (), 1.0)
        if look.drifted is None:
            return
        place = len(self.days) if not self.days or day > self.days[-1] else bisect_left(self.days, day)
        if place == len(self.days) or self.days[place] != day:
            self.days.insert(place, day)
            for column in self.drift.values():
                column.insert(place, None)
        for name, level in levels.items():
            if name not in self.drift:
                if len(self.drift) >= _MOST_COLUMNS:
                    continue
                self.drift[name] = [None] * len(self.days)
            column = self.drift[name]
            column[place] = max(column[place] or 0.0, to_digits(level, 3))

    def dump(self) -> dict[str, Any]:
        """Return the columns as small plain data: times as differences, repeated values once, no empty columns."""
        content: dict[str, Any] = {"minutes": steps_between(self.minutes), "days": steps_between(self.days)}
        columns: dict[str, Any] = {}
        for name, column in self.columns.items():
            if column.count(None) < len(column):
                columns[name] = changes(column) if name in _REPEATED else column
        return content | {"columns": columns, "drift": self.drift, "limits": self.limits.dump()}

    @classmethod
    def load(cls, content: Mapping[str, Any]) -> "Series":
        """Return the columns from `dump`.

        Args:
            content: Plain data.

        Raises:
            ValueError: The columns have different lengths.
        """
        series = cls()
        series.minutes, series.days = sums(content["minutes"]), sums(content["days"])
        length = len(series.minutes)
        for name in series.columns:
            column = content["columns"].get(name)
            if column is None:
                series.columns[name] = [None] * length
            else:
                series.columns[name] = filled(column, length) if name in _REPEATED else list(column)
        series.drift = {str(name): list(column) for name, column in content["drift"].items()}
        series.limits = LimitSeries.load(content["limits"])
        lengths = {len(column) for column in series.columns.values()} | {length}
        if len(lengths) > 1 or any(len(column) != len(series.days) for column in series.drift.values()):
            raise ValueError("the columns of the series have different lengths")
        return series

    def spark(self, most: int = 40, newest: int = 400) -> list[float]:
        """Return a few values of live quality, oldest first, for a small line.

        Args:
            most: The largest number of values.
            newest: How many of the newest looks they stand for.
        """
        known = [value for value in self.columns["value"][-newest:] if value is not None]
        step = max(1, -(-len(known) // most))
        return known[::-1][::step][::-1]


def _rounded(value: float | None) -> float | int | None:
    return value if value is None or isinstance(value, int) else to_digits(value, 5)
