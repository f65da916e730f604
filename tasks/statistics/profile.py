"""Profile a model's training data, as the reference for later rows.

A profile is made once from the training rows and kept with the model version. Each column is cut into cells: bins
between the reference's quantiles, single values that are frequent, or categories. Later rows are counted over these
cells chunk by chunk, so any number of rows fits into bounded memory.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, timedelta
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import AwareDatetime, Field

from everfit.blocks.errors import DataError
from everfit.tasks.core.records import Record
from everfit.tasks.statistics.columns import (
    Codes,
    Floats,
    Kind,
    codes_of,
    count_sorted,
    kind_of,
    mix_into,
    numbers_of,
    repeated,
    sorted_values,
)
from everfit.tasks.statistics.divergence import DISCRETE
from everfit.tasks.statistics.run_lengths import RunLength, run_lengths

Role = Literal["feature", "prediction"]

BINS = 10
LISTED = 50
KNOWN = 1_000
QUANTILES = np.linspace(0, 1, 101)
NEWEST = 10
"""The rows are cut into this many parts by time; whether a category has waned shows in the newest."""
FEWEST_EXPECTED = 10
"""A category of which that part would have fewer rows is not judged."""
SAME = 1e-6
"""Values whose relative difference is smaller count as equal: a float32 and a float64 log of the same value."""


class ColumnProfile(Record):
    """One column of the reference."""

    name: str
    kind: Kind
    role: Role = "feature"
    rows: int
    missing: int = Field(description="Rows without a value; an infinite one counts as missing.")
    cells: tuple[int, ...] = Field(description="Rows in each cell; for categories the last two are other and unseen.")
    edges: tuple[float, ...] = Field(default=(), description="Numeric: cell i holds edges[i-1] <= value < edges[i].")
    categories: tuple[str, ...] = Field(default=(), description="The categories that have a cell, frequent first.")
    others: tuple[str, ...] = Field(default=(), description="Known categories that share the cell `other`.")
    complete: bool = Field(default=True, description="Whether every category is known by name.")
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    std: float | None = None
    quantiles: tuple[float, ...] = Field(default=(), description="At 0, 0.01, … 1.")
    distinct: int = Field(default=0, description="Number of different values.")
    once: int = Field(default=0, description="Rows of a category that no other row has.")
    waned: tuple[str, ...] = Field(
        default=(), description="Listed categories that the newest tenth of the rows has hardly or not at all."
    )
    spells: tuple[RunLength, ...] = Field(
        default=(), description="Longest stretches of one value or of missing values, in order of time."
    )

    @property
    def missing_share(self) -> float:
        """Return the share of rows without a value."""
        return self.missing / self.rows if self.rows else 0.0


class Profile(Record):
    """Profile of a champion's training data, column by column."""

    rows: int
    columns: tuple[ColumnProfile, ...]
    left_out: dict[str, str] = Field(default_factory=dict, description="Columns without a profile, with the reason.")
    repeated_rows: int = Field(default=0, description="Rows whose profiled columns equal an earlier row's.")
    since: AwareDatetime | None = Field(default=None, description="Event time of the oldest row.")
    until: AwareDatetime | None = Field(default=None, description="Event time of the newest row.")

    def column(self, name: str) -> ColumnProfile:
        """Return the profile of one column.

        Raises:
            DataError: If the profile has no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise DataError(f"the profile has no column {name!r}; it has {', '.join(c.name for c in self.columns)}")

    def expected_rows(self, span: timedelta) -> float | None:
        """Return the number of rows in a span at the reference's rate, or None if its own span is unknown."""
        if self.since is None or self.until is None or self.until <= self.since:
            return None
        return self.rows * (span / (self.until - self.since))


def profile_frame(
    frame: pd.DataFrame,
    columns: Sequence[str],
    *,
    predictions: Sequence[str] = (),
    kinds: Mapping[str, Kind] | None = None,
    event_time: str | None = None,
    bins: int = BINS,
) -> Profile:
    """Profile the columns of a frame.

    Args:
        frame: Training rows of the model; shape (rows, any).
        columns: The features.
        predictions: Columns of the model's out-of-fold predictions for these rows: a score, a class, or both.
        kinds: Kinds of columns that differ from their types, such as categories coded as integers.
        event_time: Column that orders the rows; by default they count as ordered.
        bins: Number of bins of a continuous column.

    Returns:
        The profile, without columns of dates, times and durations.

    Raises:
        DataError: If there are no rows, or a column is missing.
    """
    if frame.empty:
        raise DataError("there are no rows to profile; provide the rows that the model was trained on")
    if absent := [name for name in [*columns, *predictions] if name not in frame.columns]:
        raise DataError(f"column {absent[0]!r} isn't in the frame, which has {', '.join(map(str, frame.columns))}")
    times = None if event_time is None else pd.to_datetime(frame[event_time], utc=True)
    order = None
    if times is not None and not times.is_monotonic_increasing:
        order = np.argsort(times.to_numpy(), kind="stable")
    profiles: list[ColumnProfile] = []
    left_out: dict[str, str] = {}
    hashes = np.zeros(len(frame), dtype=np.uint64)
    for name in [*columns, *predictions]:
        kind = (kinds or {}).get(name) or kind_of(frame[name])
        if kind is None:
            left_out[name] = f"{frame[name].dtype} is neither numeric nor categorical"
            continue
        role: Role = "prediction" if name in predictions else "feature"
        values: Floats | Codes
        if kind == "numeric":
            values, _ = numbers_of(frame[name])
            profiles.append(_profile_numbers(name, role, values, order, bins))
        else:
            values, categories = codes_of(frame[name])
            profiles.append(_profile_codes(name, role, kind, values, categories=categories, order=order))
        if role == "feature":
            mix_into(hashes, values)
    return Profile(
        rows=len(frame),
        columns=tuple(profiles),
        left_out=left_out,
        repeated_rows=repeated(hashes) if any(profile.role == "feature" for profile in profiles) else 0,
        since=None if times is None or times.isna().all() else times.min().to_pydatetime().astimezone(UTC),
        until=None if times is None or times.isna().all() else times.max().to_pydatetime().astimezone(UTC),
    )


def reference_sample(frame: pd.DataFrame, rows: int = 10_000, seed: int = 0) -> pd.DataFrame:
    """Draw a seeded sample without replacement, in the frame's order; equal frames and seeds give equal rows."""
    if len(frame) <= rows:
        return frame.reset_index(drop=True)
    chosen = np.random.default_rng(seed).choice(len(frame), size=rows, replace=False)
    return frame.iloc[np.sort(chosen)].reset_index(drop=True)


def _profile_numbers(
    name: str, role: Role, values: Floats, order: npt.NDArray[np.intp] | None, bins: int
) -> ColumnProfile:
    ordered = sorted_values(values)
    if ordered.size == 0:
        return ColumnProfile(
            name=name, kind="numeric", role=role, rows=values.size, missing=values.size, cells=(0,), edges=()
        )
    distinct = 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1]))
    most = 1 if distinct == ordered.size else _longest_run(ordered)
    edges = _edges(ordered, distinct, bins)
    return ColumnProfile(
        name=name,
        kind="numeric",
        role=role,
        rows=values.size,
        missing=values.size - ordered.size,
        cells=tuple(count_sorted(ordered, edges).tolist()),
        edges=tuple(edges.tolist()),
        minimum=float(ordered[0]),
        maximum=float(ordered[-1]),
        mean=float(ordered.mean()),
        std=float(ordered.std()),
        quantiles=tuple(ordered[np.rint(QUANTILES * (ordered.size - 1)).astype(np.intp)].tolist()),
        distinct=distinct,
        spells=run_lengths(values, order, most=most),
    )


def _longest_run(ordered: Floats) -> int:
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    return int(np.diff(np.append(starts, ordered.size)).max())


def _edges(ordered: Floats, distinct: int, bins: int) -> Floats:
    """Return edges between cells: one cell per discrete or frequent value, and otherwise equal shares of rows."""
    between = np.unique(ordered[(np.arange(bins) * ordered.size) // bins])
    if distinct <= DISCRETE:
        alone, between = np.unique(ordered), np.empty(0)
    else:
        # A value with more than a bin's share of the sorted rows is at the start of one of the bins.
        lengths = np.searchsorted(ordered, between, side="right") - np.searchsorted(ordered, between, side="left")
        frequent = lengths * bins > ordered.size
        alone, between = between[frequent], between[~frequent & (between > ordered[0])]
    margin = np.maximum(np.abs(alone) * SAME, np.finfo(np.float64).tiny)
    return np.unique(np.concatenate([alone - margin, alone + margin, between]))


def _profile_codes(
    name: str, role: Role, kind: Kind, codes: Codes, *, categories: list[str], order: npt.NDArray[np.intp] | None
) -> ColumnProfile:
    counts = np.bincount(codes[codes >= 0], minlength=len(categories))
    frequent_first = sorted(
        (index for index in range(len(categories)) if counts[index]),
        key=lambda index: (-counts[index], categories[index]),
    )
    listed, rest = frequent_first[:LISTED], frequent_first[LISTED:]
    as_floats = np.where(codes < 0, np.nan, codes.astype(np.float64))
    return ColumnProfile(
        name=name,
        kind=kind,
        role=role,
        rows=codes.size,
        missing=int((codes < 0).sum()),
        cells=(*(int(counts[index]) for index in listed), int(sum(counts[index] for index in rest)), 0),
        categories=tuple(categories[index] for index in listed),
        others=tuple(sorted(categories[index] for index in rest[:KNOWN])),
        complete=len(rest) <= KNOWN,
        distinct=len(frequent_first),
        once=int((counts == 1).sum()),
        waned=tuple(categories[index] for index in listed if index in _waned(codes, counts, order)),
        spells=run_lengths(as_floats, order, most=int(counts.max(initial=0))),
    )


def _waned(codes: Codes, counts: npt.NDArray[np.int64], order: npt.NDArray[np.intp] | None) -> frozenset[int]:
    """Return the categories that have less than half of their share in the newest tenth of the rows."""
    newest = codes[-(codes.size // NEWEST) :] if order is None else codes[order[-(codes.size // NEWEST) :]]
    expected = counts / codes.size * newest.size
    late = np.bincount(newest[newest >= 0], minlength=counts.size)
    return frozenset(np.flatnonzero((expected >= FEWEST_EXPECTED) & (late < expected / 2)).tolist())
