"""Count rows over the cells of a profile; the counts of chunks add up to those of the whole."""

from collections import Counter
from collections.abc import Iterable
from typing import Self

import numpy as np
import pandas as pd
from pydantic import Field

from everfit.blocks.errors import DataError
from everfit.tasks.core.records import Record
from everfit.tasks.statistics.columns import (
    Codes,
    Floats,
    codes_of,
    count_sorted,
    mix_into,
    numbers_of,
    repeated,
    sorted_values,
)
from everfit.tasks.statistics.profile import ColumnProfile, Profile

REMEMBERED = 50
"""Number of unseen categories and frequent values that are kept by name; the rest are only counted."""

_FLAGS = {"1": "True", "0": "False", "true": "True", "false": "False"}
"""Spellings in a log of a value that was a boolean in training."""


class ColumnHistogram(Record):
    """Rows of one column over the cells of its profile."""

    name: str
    present: bool = Field(default=True, description="Whether the rows have the column.")
    rows: int
    missing: int
    invalid: int = Field(default=0, description="Rows of a numeric column with other values; also counted as missing.")
    cells: tuple[int, ...]
    minimum: float | None = None
    maximum: float | None = None
    outside: int = Field(default=0, description="Rows below the reference's minimum or above its maximum.")
    implausible: int = Field(default=0, description="Rows many ranges away from the reference.")
    unseen: dict[str, int] = Field(default_factory=dict, description="Rows of categories that the reference lacks.")
    frequent: dict[str, int] = Field(default_factory=dict, description="Rows of the most frequent single values.")

    @property
    def values(self) -> int:
        """Return the number of rows with a value."""
        return self.rows - self.missing

    @property
    def missing_share(self) -> float:
        """Return the share of rows without a value."""
        return self.missing / self.rows if self.rows else 0.0

    @property
    def unseen_first(self) -> tuple[str, ...]:
        """Return the unseen categories, the most frequent first."""
        return tuple(sorted(self.unseen, key=lambda name: (-self.unseen[name], name)))

    def __add__(self, other: Self) -> Self:
        """Both together."""
        lows = [value for value in (self.minimum, other.minimum) if value is not None]
        highs = [value for value in (self.maximum, other.maximum) if value is not None]
        return type(self)(
            name=self.name,
            present=self.present and other.present,
            rows=self.rows + other.rows,
            missing=self.missing + other.missing,
            invalid=self.invalid + other.invalid,
            cells=tuple(mine + theirs for mine, theirs in zip(self.cells, other.cells, strict=True)),
            minimum=min(lows, default=None),
            maximum=max(highs, default=None),
            outside=self.outside + other.outside,
            implausible=self.implausible + other.implausible,
            unseen=_largest(Counter(self.unseen) + Counter(other.unseen)),
            frequent=_largest(Counter(self.frequent) + Counter(other.frequent)),
        )


class Histograms(Record):
    """Rows of a window over the cells of a profile."""

    profile: str = Field(description="Digest of the profile.")
    rows: int
    columns: tuple[ColumnHistogram, ...]
    repeated_rows: int = Field(default=0, description="Rows whose features equal an earlier row's of the same chunk.")

    def column(self, name: str) -> ColumnHistogram:
        """Return the counts of one column.

        Raises:
            DataError: If it wasn't counted.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise DataError(f"column {name!r} wasn't counted; counted are {', '.join(c.name for c in self.columns)}")

    def __add__(self, other: Self) -> Self:
        """Add the counts of both.

        Raises:
            DataError: If they were counted over the cells of different profiles.
        """
        if self.profile != other.profile:
            raise DataError(
                f"counts over the cells of profile {self.profile[:12]!r} and of {other.profile[:12]!r} don't add up; "
                "count both over the same profile"
            )
        return type(self)(
            profile=self.profile,
            rows=self.rows + other.rows,
            columns=tuple(mine + theirs for mine, theirs in zip(self.columns, other.columns, strict=True)),
            repeated_rows=self.repeated_rows + other.repeated_rows,
        )


def histograms(frame: pd.DataFrame, profile: Profile, *, implausible_ranges: float = 10) -> Histograms:
    """Count the rows of a frame over the cells of a profile.

    Args:
        frame: The rows; shape (rows, any). A column that it lacks is counted as not present.
        profile: Profile of the reference.
        implausible_ranges: A value that is this many of the reference's ranges away counts as an error.
    """
    columns: list[ColumnHistogram] = []
    hashes = np.zeros(len(frame), dtype=np.uint64)
    for reference in profile.columns:
        if reference.name not in frame.columns:
            columns.append(_absent(reference, len(frame)))
            continue
        if reference.kind == "numeric":
            numbers, invalid = numbers_of(frame[reference.name])
            columns.append(_count_numbers(reference, numbers, invalid, implausible_ranges))
            values = numbers.view(np.int64)
        else:
            values, categories = codes_of(frame[reference.name])
            columns.append(_count_codes(reference, values, categories))
        if reference.role == "feature":
            mix_into(hashes, values)
    return Histograms(
        profile=profile.digest(),
        rows=len(frame),
        columns=tuple(columns),
        repeated_rows=repeated(hashes) if any(column.role == "feature" for column in profile.columns) else 0,
    )


def count_chunks(chunks: Iterable[pd.DataFrame], profile: Profile, *, implausible_ranges: float = 10) -> Histograms:
    """Count the rows of any number of chunks, with one in memory at a time."""
    total = Histograms(
        profile=profile.digest(), rows=0, columns=tuple(_nothing(reference) for reference in profile.columns)
    )
    for chunk in chunks:
        total += histograms(chunk, profile, implausible_ranges=implausible_ranges)
    return total


def _nothing(reference: ColumnProfile) -> ColumnHistogram:
    return ColumnHistogram(name=reference.name, rows=0, missing=0, cells=(0,) * len(reference.cells))


def _absent(reference: ColumnProfile, rows: int) -> ColumnHistogram:
    cells = (0,) * len(reference.cells)
    return ColumnHistogram(name=reference.name, present=False, rows=rows, missing=rows, cells=cells)


def _count_numbers(reference: ColumnProfile, values: Floats, invalid: int, far: float) -> ColumnHistogram:
    ordered = sorted_values(values)
    cells = tuple(count_sorted(ordered, np.asarray(reference.edges, dtype=np.float64)).tolist())
    known = ordered.size > 0 and reference.minimum is not None and reference.maximum is not None
    outside = implausible = 0
    if known:
        low, high = float(reference.minimum or 0), float(reference.maximum or 0)
        outside = _outside(ordered, low, high)
        span = far * (high - low)
        implausible = _outside(ordered, low - span, high + span) if span > 0 else 0
    frequent: dict[str, int] = {}
    if ordered.size:
        # The median is the only value that can hold half of the rows.
        middle = ordered[ordered.size // 2]
        ends = np.searchsorted(ordered, middle, side="right") - np.searchsorted(ordered, middle, side="left")
        frequent = {repr(float(middle)): int(ends)}
    return ColumnHistogram(
        name=reference.name,
        rows=values.size,
        missing=values.size - ordered.size,
        invalid=invalid,
        cells=cells,
        minimum=float(ordered[0]) if ordered.size else None,
        maximum=float(ordered[-1]) if ordered.size else None,
        outside=outside,
        implausible=implausible,
        frequent=frequent,
    )


def _outside(ordered: Floats, low: float, high: float) -> int:
    margin = 1e-6 * max(abs(low), abs(high))
    below = np.searchsorted(ordered, low - margin, side="left")
    return int(below + ordered.size - np.searchsorted(ordered, high + margin, side="right"))


def _count_codes(reference: ColumnProfile, codes: Codes, categories: list[str]) -> ColumnHistogram:
    counts = np.bincount(codes[codes >= 0], minlength=len(categories)).tolist()
    counted: Counter[str] = Counter()
    for name, count in zip(categories, counts, strict=True):
        if count:
            counted[_FLAGS.get(name, name) if reference.kind == "boolean" else name] += count
    listed = [counted.get(name, 0) for name in reference.categories]
    known = {*reference.categories, *reference.others}
    unseen = {name: count for name, count in counted.items() if name not in known} if reference.complete else {}
    filled = sum(counted.values())
    return ColumnHistogram(
        name=reference.name,
        rows=codes.size,
        missing=codes.size - filled,
        cells=(*listed, filled - sum(listed) - sum(unseen.values()), sum(unseen.values())),
        unseen=_largest(Counter(unseen)),
        frequent=_largest(counted),
    )


def _largest(counts: "Counter[str]") -> dict[str, int]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return dict(ordered[:REMEMBERED])
