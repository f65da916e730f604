"""The distribution of a column in the training data and in a window, as a few bars for people. Pure."""

import sys
from typing import NamedTuple

from pydantic import Field, FiniteFloat

from everfit.tasks.core.records import Record
from everfit.tasks.statistics.group_gaps import MIN_GROUP_ROWS
from everfit.tasks.statistics.histograms import ColumnHistogram, Histograms
from everfit.tasks.statistics.profile import SAME, ColumnProfile, Profile

_MOST_BARS = 12
_LARGE = 1e15
_TINY = sys.float_info.min
MISSING, OTHER = "missing", "all others"


class Bar(Record):
    """A part of a column's values.

    Attributes:
        label: Its values, in words.
        then: Its share of the training rows.
        now: Its share of the window's rows.
    """

    label: str
    then: FiniteFloat = Field(ge=0, le=1)
    now: FiniteFloat = Field(ge=0, le=1)


class ColumnDistribution(Record):
    """A column in the training data and in a window; its bars have all rows.

    Attributes:
        name: The name of the column.
        bars: In the order of the values of a number; otherwise the most frequent category first.
    """

    name: str
    bars: tuple[Bar, ...]

    @property
    def most_changed(self) -> Bar | None:
        """The bar whose share has changed most; None if there are none."""
        return max(self.bars, key=lambda bar: abs(bar.now - bar.then), default=None)


class _Cell(NamedTuple):
    """A span of a number's values, with its rows then and now; the ends are the same if it is one value."""

    low: float | None
    high: float | None
    then: int
    now: int

    @property
    def is_small(self) -> bool:
        return max(self.then, self.now) < MIN_GROUP_ROWS

    def merged(self, other: "_Cell") -> "_Cell":
        return _Cell(self.low, other.high, self.then + other.then, self.now + other.now)


def distributions(reference: Profile, current: Histograms) -> tuple[ColumnDistribution, ...]:
    """Return each column's distribution in both, in the profile's order; those without rows are left out.

    Values that fewer than 20 rows have, then and now, are not shown by themselves.

    Args:
        reference: The champion's profile.
        current: The window's rows counted over that profile's cells.
    """
    pairs = zip(reference.columns, current.columns, strict=True)
    return tuple(_distribution(profile, counts) for profile, counts in pairs if profile.rows and counts.rows)


def _distribution(profile: ColumnProfile, counts: ColumnHistogram) -> ColumnDistribution:
    rows = _number_rows(profile, counts) if profile.kind == "numeric" else _category_rows(profile, counts)
    if profile.missing or counts.missing:
        rows.append((MISSING, profile.missing, counts.missing))
    bars = [
        Bar(label=label, then=_share(then, profile.rows), now=_share(now, counts.rows)) for label, then, now in rows
    ]
    return ColumnDistribution(name=profile.name, bars=tuple(bars))


def _number_rows(profile: ColumnProfile, counts: ColumnHistogram) -> list[tuple[str, int, int]]:
    cells = [cell for cell in _cells(profile, counts) if cell.then or cell.now]
    while len(cells) > 1 and (len(cells) > _MOST_BARS or any(cell.is_small for cell in cells)):
        small = [place for place, cell in enumerate(cells) if cell.is_small]
        place = min(small or range(len(cells)), key=lambda place: max(cells[place].then, cells[place].now))
        beside = [near for near in (place - 1, place + 1) if 0 <= near < len(cells)]
        near = min(beside, key=lambda near: cells[near].then + cells[near].now)
        first = min(place, near)
        cells[first : first + 2] = [cells[first].merged(cells[first + 1])]
    digits = _digits({end for cell in cells for end in (cell.low, cell.high) if end is not None})
    return [(_span(cell, digits), cell.then, cell.now) for cell in cells]


def _digits(ends: set[float]) -> int:
    """Return the fewest digits, at least four, by which the ends of the cells differ."""
    return next((digits for digits in range(4, 16) if len({_number(end, digits) for end in ends}) == len(ends)), 16)


def _cells(profile: ColumnProfile, counts: ColumnHistogram) -> list[_Cell]:
    """Return the cells of a number. A value that has a cell of its own is between two edges that are almost equal."""
    edges = profile.edges
    cells = []
    for place, (then, now) in enumerate(zip(profile.cells, counts.cells, strict=True)):
        low = None if place == 0 else edges[place - 1]
        high = None if place == len(edges) else edges[place]
        if low is not None and high is not None and high - low <= max(3 * SAME * max(abs(low), abs(high)), 4 * _TINY):
            low = high = (low + high) / 2
        cells.append(_Cell(low, high, then, now))
    return cells


def _span(cell: _Cell, digits: int) -> str:
    low, high = (None if end is None else _number(end, digits) for end in (cell.low, cell.high))
    if low is None:
        return "any value" if high is None else f"below {high}"
    if high is None:
        return f"{low} or more"
    return low if low == high else f"{low} to {high}"


def _category_rows(profile: ColumnProfile, counts: ColumnHistogram) -> list[tuple[str, int, int]]:
    named = [
        (name, then, now) for name, then, now in zip(profile.categories, profile.cells, counts.cells, strict=False)
    ]
    named += [(name, 0, now) for name, now in counts.unseen.items()]
    by_share = sorted(named, key=lambda row: (-max(_share(row[1], profile.rows), _share(row[2], counts.rows)), row[0]))
    shown = [row for row in by_share if max(row[1:]) >= MIN_GROUP_ROWS][: _MOST_BARS - 2]
    then = profile.rows - profile.missing - sum(row[1] for row in shown)
    now = counts.values - sum(row[2] for row in shown)
    return [*shown, (OTHER, then, now)] if then or now else shown


def _share(rows: int, of: int) -> float:
    return float(f"{min(rows / of, 1.0):.3g}")


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}g}"
    return f"{float(text):,.0f}" if "e+" in text and abs(value) < _LARGE else text
