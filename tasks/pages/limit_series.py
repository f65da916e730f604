"""Fairness, calibration and slices of a model by day, each with its interval and its bound. Pure."""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from everfit.tasks.pages.looks import LimitedLook
from everfit.tasks.pages.packing import changes, filled, steps_between, sums, to_digits

_MOST_FIGURES = 48
_VALUES = ("value", "low", "high")
_RARELY_CHANGED = ("bound", "expected", "beyond")
PARTS = (*_VALUES, *_RARELY_CHANGED)


class LimitSeries:
    """The figures with bounds, one value for each day with a look that measured some: that of the day's last look.

    Attributes:
        days: Days since 1970.
        labels: The name for people of each figure.
        figures: By figure and part, such as `value` or `bound`, one value for each day; None where there is none.
        left_out: Number of figures that the last look measured, and for which there was no place.
    """

    def __init__(self) -> None:
        self.days: list[int] = []
        self.labels: dict[str, str] = {}
        self.figures: dict[str, dict[str, list[Any]]] = {}
        self.left_out = 0

    def add(self, day: int, found: tuple[LimitedLook, ...]) -> None:
        """Add what a look measured.

        Args:
            day: The day of the look.
            found: The figures; a look without any leaves no trace.
        """
        if not found:
            return
        place = len(self.days) if not self.days or day > self.days[-1] else bisect_left(self.days, day)
        if place == len(self.days) or self.days[place] != day:
            self.days.insert(place, day)
            for parts in self.figures.values():
                for column in parts.values():
                    column.insert(place, None)
        left_out = 0
        for figure in found:
            if figure.name not in self.figures:
                if len(self.figures) >= _MOST_FIGURES:
                    left_out += 1
                    continue
                self.figures[figure.name] = {part: [None] * len(self.days) for part in PARTS}
            parts = self.figures[figure.name]
            self.labels[figure.name] = figure.label
            for part in PARTS:
                value = getattr(figure, part)
                parts[part][place] = int(value) if isinstance(value, bool) else _rounded(value)
        self.left_out = left_out if day == self.days[-1] else self.left_out

    def newest(self, name: str) -> dict[str, Any]:
        """Return the newest values of a figure by part, and their `day`."""
        parts = self.figures[name]
        place = max(place for place, value in enumerate(parts["value"]) if value is not None)
        return {part: parts[part][place] for part in PARTS} | {"day": self.days[place]}

    def dump(self) -> dict[str, Any]:
        """Return all as small plain data."""
        figures = {
            name: {part: changes(column) if part in _RARELY_CHANGED else column for part, column in parts.items()}
            for name, parts in self.figures.items()
        }
        return {"days": steps_between(self.days), "labels": self.labels, "figures": figures, "left_out": self.left_out}

    @classmethod
    def load(cls, content: Mapping[str, Any]) -> "LimitSeries":
        """Return the figures from `dump`.

        Args:
            content: Plain data.

        Raises:
            ValueError: The columns have different lengths.
        """
        series = cls()
        series.days, series.labels = sums(content["days"]), dict(content["labels"])
        series.left_out, length = int(content.get("left_out", 0)), len(series.days)
        for name, parts in content["figures"].items():
            series.figures[name] = {
                part: filled(parts[part], length) if part in _RARELY_CHANGED else list(parts[part]) for part in PARTS
            }
        columns = [column for parts in series.figures.values() for column in parts.values()]
        if any(len(column) != length for column in columns) or series.labels.keys() != series.figures.keys():
            raise ValueError("the columns of the figures with bounds have different lengths")
        return series


def _rounded(value: float | None) -> float | None:
    return None if value is None else to_digits(value, 5)
