"""Check the staged rows of a batch: each part by itself, then the columns that have to be whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.expectations import Expectation
from everfit.tasks.data.expectation_runner import Checker
from everfit.tasks.data.staged_batch import Batch
from everfit.tasks.data.staging import OWN, Staging, selected_rows, slices
from everfit.tasks.sources import FAULTS

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass
class BadRows:
    """Bad staged rows, and the expectations that they fail.

    Attributes:
        rows: Whether each row is bad; shape (rows,).
        blamed: For each part, positions in the part with the number of the expectation.
    """

    rows: npt.NDArray[np.bool_]
    blamed: dict[int, list[tuple[npt.NDArray[np.int64], int]]]


@dataclass(frozen=True)
class CheckedPart:
    """The findings of the checks of single rows in a part.

    Attributes:
        number: Its number.
        with_faults: Positions of rows with a value that can't be read.
        blamed: Positions of bad rows, with the number of the expectation that they fail.
        checker: The counts.
    """

    number: int
    with_faults: npt.NDArray[np.int64]
    blamed: list[tuple[npt.NDArray[np.int64], int]]
    checker: Checker


def check_part(
    suite: tuple[Staging, Sequence[Expectation], int], part: tuple[int, npt.NDArray[np.bool_]]
) -> CheckedPart:
    """Check the selected rows of a part, each by itself."""
    (staging, expectations, pieces), (number, wanted) = suite, part
    checker = Checker(expectations, pieces)
    frame, positions = rows_of_part(staging, number, wanted, _there(staging, number, checker.columns_by_row()))
    frame, positions, with_faults = _without_faults(frame, positions)
    blamed = [(positions[rows], position) for position, rows in checker.check(frame)]
    return CheckedPart(number, with_faults, blamed, checker)


def rows_of_part(
    staging: Staging, number: int, wanted: npt.NDArray[np.bool_], columns: list[str] | None = None
) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """Return the selected rows of a part, indexed from 0, and their positions in it."""
    table = staging.read_part(number, columns)
    own = [name for name in OWN if name in table.column_names and name != FAULTS]
    table = selected_rows(table.drop_columns(own), wanted)
    return table.to_pandas(split_blocks=True), np.flatnonzero(wanted)


def _there(staging: Staging, number: int, columns: list[str] | None) -> list[str] | None:
    """Return which of some columns a part has, with the column of faults; None for all."""
    if columns is None:
        return None
    wanted = {*columns, FAULTS}
    return [name for name in staging.columns_of(number) if name in wanted]


def _without_faults(
    frame: pd.DataFrame, positions: npt.NDArray[np.int64]
) -> tuple[pd.DataFrame, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows without a fault, indexed from 0, their positions, and the positions of the others."""
    faults, frame = frame[FAULTS], frame.drop(columns=FAULTS)
    if faults.isna().all():
        return frame, positions, positions[:0]
    faulty = (faults.fillna("") != "").to_numpy()
    return frame[~faulty].reset_index(drop=True), positions[~faulty], positions[faulty]


def check_whole_columns(
    checker: Checker, batch: Batch, staging: Staging, candidates: npt.NDArray[np.bool_], bad: BadRows
) -> None:
    """Check the expectations that need whole columns, a few columns at a time."""
    for columns, expectations in checker.columns_of_whole():
        frames, counts = [], []
        for number, span in enumerate(slices(batch.sizes)):
            if not candidates[span].any():
                continue
            frame, positions = rows_of_part(staging, number, candidates[span], _there(staging, number, columns))
            frames.append(frame.drop(columns=FAULTS, errors="ignore"))
            counts.append((number, span, len(positions)))
        if not frames:
            continue
        for position, rows in checker.check_whole(pd.concat(frames, ignore_index=True), expectations):
            blamed, start = np.asarray(rows), 0
            for number, span, count in counts:
                mine = blamed[(blamed >= start) & (blamed < start + count)] - start
                start += count
                if len(mine):
                    mine = np.flatnonzero(candidates[span])[mine]
                    bad.rows[span][mine] = True
                    bad.blamed.setdefault(number, []).append((mine, position))


def blamed_rows(bad: BadRows, number: int, span: slice) -> "pa.Table":
    """Return the bad rows of a part: position and number of the expectation, or -1 for everfit's own checks."""
    import pyarrow as pa

    named = bad.blamed.get(number, [])
    rows = [positions for positions, _ in named]
    numbers = [np.full(len(positions), position, dtype=np.int32) for positions, position in named]
    by_itself = np.setdiff1d(np.flatnonzero(bad.rows[span]), np.concatenate(rows) if rows else [])
    return pa.table(
        {
            "row": pa.array(np.concatenate([by_itself, *rows]).astype(np.int64)),
            "expectation": pa.array(np.concatenate([np.full(len(by_itself), -1, dtype=np.int32), *numbers])),
        }
    )
