"""Thin the rows that a turn trains on to as many as one process holds: each month and each class keeps its share."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Window
from everfit.tasks.data.row_choice import kept_rows, label_is_visible
from everfit.tasks.storage.tables import KEY, Table

_DRAW = np.int64(0x7468696E)
_ALL = np.float64(2**32)

Stratum = tuple[int, Hashable]
"""A month, counted from 1970, and a class; of a regression, a month alone."""


@dataclass(frozen=True)
class Thinning:
    """A sample of rows, the same for the same rows, in whatever order and parts they are read.

    Each row has a draw by its key. A stratum gives the rows with its lowest draws, so a smaller sample is a part of a
    larger one.

    Attributes:
        rows: Number of rows in the sample.
        of: Number of rows that it was taken from.
        limits: The draw up to which rows of a stratum are taken; of other rows, the share of the whole is taken.
    """

    rows: int
    of: int
    limits: Mapping[Stratum, int]

    def takes(self, frame: pd.DataFrame, spec: ModelSpec) -> npt.NDArray[np.bool_]:
        """Return which rows are in the sample; shape (rows,)."""
        limits = np.full(len(frame), self.rows / self.of * _ALL)
        for stratum, places in _strata(frame, spec).items():
            if (known := self.limits.get(stratum)) is not None:
                limits[places] = known
        return np.asarray(_draws(frame) <= limits, dtype=np.bool_)


def thinning_of(  # noqa: PLR0917 - the rows of a turn
    table: Table, spec: ModelSpec, window: Window, until: datetime, version: int, most: int
) -> Thinning | None:
    """Choose the sample of a window's rows that have a visible label and that models are trained on.

    Only keys, times and labels are read, in chunks; four bytes a row are held.

    Args:
        table: The dataset.
        spec: Spec of the model; its task says whether the target has classes.
        window: Span of event time.
        until: Time of the turn; later labels are ignored.
        version: Version of the dataset.
        most: Largest number of rows; each month and class keeps at least one more.

    Returns:
        The sample, or None if there are no more rows than that.
    """
    roles, there = spec.columns, table.columns(version)
    names = [KEY, roles.time, roles.target, roles.label_time, roles.entity]
    columns = [name for name in dict.fromkeys(names) if name is not None and name in there]
    drawn: dict[Stratum, list[npt.NDArray[np.uint32]]] = {}
    for chunk in table.batches(window, roles.time, columns, version):
        rows = chunk[label_is_visible(chunk, spec, until)]
        rows = rows[~kept_rows(rows, spec)]
        draws = _draws(rows)
        for stratum, places in _strata(rows, spec).items():
            drawn.setdefault(stratum, []).append(draws[places])
    whole = {stratum: np.concatenate(parts) for stratum, parts in drawn.items()}
    total = sum(map(len, whole.values()))
    if total <= most:
        return None
    limits, taken = {}, 0
    for stratum, draws in whole.items():
        count = max(1, round(most * len(draws) / total))
        limits[stratum] = int(np.partition(draws, count - 1)[count - 1])
        taken += count
    return Thinning(taken, total, limits)


def _draws(frame: pd.DataFrame) -> npt.NDArray[np.uint32]:
    keys = frame[KEY].to_numpy(dtype=np.int64)
    return np.asarray(pd.util.hash_array(keys ^ _DRAW) >> np.uint64(32), dtype=np.uint32)


def _strata(frame: pd.DataFrame, spec: ModelSpec) -> dict[Stratum, npt.NDArray[np.intp]]:
    """Return the positions of the rows of each stratum, without those that have no label."""
    labels = frame[spec.columns.target]
    there = np.flatnonzero(labels.notna())
    months = frame[spec.columns.time].to_numpy("datetime64[ns]").astype("datetime64[M]").astype(np.int64)[there]
    classes = np.zeros(len(there)) if spec.task == "regression" else labels.to_numpy()[there]
    groups: Any = pd.DataFrame({"month": months, "class": classes}).groupby(["month", "class"]).indices
    return {(int(month), kind): there[np.asarray(places, dtype=np.intp)] for (month, kind), places in groups.items()}
