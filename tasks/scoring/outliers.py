"""Detect outliers: measure how unlike the training data an input is.

The detector is of the family of ECOD (Li, Zhao, Hu, Botta, Ionescu and Chen, "ECOD: Unsupervised Outlier Detection
Using Empirical Cumulative Distribution Functions", IEEE TKDE 2022). For each feature it takes the probability, in the
training data, of a value as far out in its tail, or of a category as rare. The negative logarithms are squared before
they are added, so one extreme value isn't lost among many features. Features are scored one by one from tables, so a
row costs microseconds, where an isolation forest takes longer than the model.

The sum is reported as the share of hold-out rows that are less unusual, from 0 to 1.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from everfit.tasks.core.records import Record
from everfit.tasks.models.run_files import download_run_files, run_files
from everfit.tasks.statistics.columns import numbers_of
from everfit.tasks.statistics.profile import ColumnProfile, Profile

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from everfit.tasks.core.records import ModelVersion

FILE = "reference/outliers.json"
"""Artifact of a turn's run."""

Floats = npt.NDArray[np.float64]

_LEVELS = np.concatenate([np.linspace(0, 0.99, 100), np.linspace(0.991, 0.999, 9), [0.9995, 0.9999, 1.0]])
_FEW = 32  # number of rows from which numpy's fixed costs pay off


class FeatureSurprisal(Record):
    """Surprisal of a feature's values: squared negative logarithms of their tail probabilities."""

    name: str
    edges: tuple[float, ...] = Field(default=(), description="Numeric: cell i holds edges[i-1] <= value < edges[i].")
    cells: tuple[float, ...] = Field(default=(), description="Surprisal of each cell.")
    categories: dict[str, float] = Field(default_factory=dict, description="Surprisal of each category.")
    unseen: float = Field(description="Surprisal of a category that the training data lacks.")
    missing: float = Field(description="Surprisal of a missing value.")

    @cached_property
    def _by_value(self) -> dict[Any, float]:
        names: dict[str, Any] = {"True": True, "False": False}
        own = {names[name]: value for name, value in self.categories.items() if name in names}
        return {**self.categories, **own, None: self.missing}

    @cached_property
    def _tables(self) -> tuple[Floats, Floats]:
        # NaN is behind infinity in numpy's order, so what is missing has a cell of its own.
        return np.array([*self.edges, np.inf, np.nan]), np.array([*self.cells, self.cells[-1], self.missing])

    @classmethod
    def of(cls, column: ColumnProfile) -> Self | None:
        """Compute the surprisal from a column's profile; None for a column without values."""
        if column.missing >= column.rows:
            return None
        none = _squared(0, column.rows)
        missing = _squared(column.missing_share, column.rows)
        if column.kind == "numeric" and column.quantiles:
            edges, cells = _tails(column)
            return cls(name=column.name, edges=edges, cells=cells, unseen=none, missing=missing)
        if not column.categories:
            return None
        known = dict(zip(column.categories, column.cells, strict=False))
        others = dict.fromkeys(column.others, column.cells[-2] / max(1, len(column.others)) if column.others else 0.0)
        counts = {**known, **others}
        ordered = np.sort(np.array(list(counts.values()), dtype=np.float64))
        rarer = np.cumsum(ordered) / column.rows
        # Take the probability of a category that is as rare or rarer.
        shares = {
            name: float(rarer[np.searchsorted(ordered, count, side="right") - 1]) for name, count in counts.items()
        }
        return cls(
            name=column.name,
            categories={name: _squared(share, column.rows) for name, share in shares.items()},
            unseen=none if column.complete else _squared(float(rarer[0]), column.rows),
            missing=missing,
        )

    def few(self, values: Sequence[Any]) -> list[float]:
        """Return the surprisal of each of a few values."""
        if not self.cells:
            return list(map(self._by_value.get, values, repeat(self.unseen)))
        edges, cells, missing = self.edges, self.cells, self.missing
        return [missing if value is None or value != value else cells[bisect_right(edges, value)] for value in values]  # noqa: PLR0124 - NaN

    def many(self, values: Floats) -> Floats:
        """Return the surprisal of each number, NaN for a missing one; shape (rows,)."""
        edges, cells = self._tables
        return cells[edges.searchsorted(values, side="right")]


def _squared(probability: float, rows: int) -> float:
    return math.log(min(1.0, max(probability, 1 / (rows + 1)))) ** 2


def _tails(column: ColumnProfile) -> tuple[tuple[float, ...], tuple[float, ...]]:
    quantiles = np.asarray(column.quantiles)
    edges, first = np.unique(quantiles, return_index=True)
    last = np.append(first[1:], quantiles.size) - 1
    steps = quantiles.size - 1
    # A cell begins at a quantile, so these shares bound the rows below and above a value in it.
    below = np.append(first[1:], steps) / steps
    above = 1 - first / steps
    above[-1] = max(above[-1], (last[-1] - first[-1]) / steps)
    tails = 2 * np.minimum(below, above)
    tails[-1] = 2 * max(above[-1], 1 / column.rows)  # the largest value itself; larger values have their own cell
    inside = [_squared(float(tail), column.rows) for tail in tails]
    none = _squared(0, column.rows)
    beyond = float(np.nextafter(edges[-1], np.inf))
    return (*edges.tolist(), beyond), (none, *inside, none)


class OutlierDetector(Record):
    """Measures how unlike the training data rows are."""

    features: tuple[FeatureSurprisal, ...]
    levels: tuple[float, ...] = Field(description="Quantiles of the hold-out's sums.")

    @classmethod
    def fit(cls, profile: Profile, sample: pd.DataFrame) -> Self:
        """Fit a detector.

        Args:
            profile: Profile of the training data.
            sample: Rows that the profile doesn't cover, which calibrate the sums; shape (rows, columns).
        """
        features = [FeatureSurprisal.of(column) for column in profile.columns if column.role == "feature"]
        raw = cls(features=tuple(item for item in features if item is not None and item.name in sample), levels=())
        sums = raw.sums(detector_columns(sample, raw), len(sample))
        levels = np.quantile(sums, _LEVELS) if len(sums) else np.zeros(0)
        return raw.model_copy(update={"levels": tuple(levels.tolist())})

    def fits(self, kinds: Mapping[str, str]) -> bool:
        """Return whether every feature is served with the type that was profiled.

        Args:
            kinds: Type of each model input: `double`, `long`, `string`, `boolean` or `datetime`.
        """
        return all(
            kinds.get(one.name) in ({"double", "long"} if one.cells else {"string", "boolean"}) for one in self.features
        )

    def sums(self, columns: Mapping[str, Sequence[Any]], rows: int) -> Floats:
        """Return the sum over the features of each row; shape (rows,)."""
        if rows < _FEW:
            lists = [one.few(columns[one.name]) for one in self.features]
            return np.array([math.fsum(values) for values in zip(*lists, strict=True)] if lists else [0.0] * rows)
        total = np.zeros(rows)
        for one in self.features:
            values = columns[one.name]
            total += one.many(np.asarray(values, dtype=np.float64)) if one.cells else np.array(one.few(values))
        return total

    def score(self, columns: Mapping[str, Sequence[Any]], rows: int) -> list[float]:
        """Return the share of hold-out rows that are less unusual than each row.

        Args:
            columns: Values by column, as from `InputSchema.check` or `in_arrays`; further columns are ignored.
            rows: Number of rows.

        Returns:
            A share from 0 to 1 for each row; shape (rows,).
        """
        # The sums' rounding depends on the number of rows.
        sums = self.sums(columns, rows) * (1 - 1e-9)
        if rows >= _FEW:
            return list(_SHARES_BY_PLACE[self._ordered_levels.searchsorted(sums)].tolist())
        levels, shares = self.levels, _SHARES
        return [shares[bisect_left(levels, value)] for value in sums.tolist()]

    @cached_property
    def _ordered_levels(self) -> Floats:
        return np.array(self.levels, dtype=np.float64)


_SHARES = [0.0, *_LEVELS.tolist()]
_SHARES_BY_PLACE = np.array(_SHARES)


def detector_columns(frame: pd.DataFrame, detector: OutlierDetector) -> dict[str, list[Any]]:
    """Return a frame's columns in the form that a detector takes."""
    columns: dict[str, list[Any]] = {}
    for one in detector.features:
        series = frame[one.name]
        if one.cells:
            columns[one.name] = numbers_of(series)[0].tolist()
        else:
            pairs = zip(series.tolist(), series.isna(), strict=True)
            columns[one.name] = [
                None if missing else value if isinstance(value, bool) else str(value) for value, missing in pairs
            ]
    return columns


def read_detector(folder: Path) -> OutlierDetector | None:
    """Read the detector next to a model, or None without one."""
    path = folder / Path(FILE).name
    return OutlierDetector.model_validate_json(path.read_text(encoding="utf-8")) if path.exists() else None


def fetch_detector(client: "MlflowClient", version: "ModelVersion", folder: Path) -> None:
    """Download the detector that was logged with a version's run next to its files, if there is one."""
    if not version.run_id or FILE not in run_files(client, version.run_id, str(Path(FILE).parent)):
        return
    downloaded = download_run_files(client, version.run_id, FILE, folder)
    downloaded.replace(folder / downloaded.name)
