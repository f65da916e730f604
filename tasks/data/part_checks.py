"""Check the staged rows of a batch: each part by itself, then the columns that have to be whole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.expectations import Expectation
from everfit.tasks.data.expectation_runner import COLUMNS_AT_ONCE, Checker
from everfit.tasks.data.staged_batch import Batch
from everfit.tasks.data.staging import OWN, Staging, selected_rows, slices
from everfit.tasks.sources import FAULTS
from everfit.tasks.sources.chunks import rows_at_once

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
class CheckedParts:
    """The findings of the checks of single rows in some parts.

    Attributes:
        with_faults: For each part, positions of rows with a value that can't be read.
        blamed: Parts with positions of bad rows, and the number of the expectation that they fail.
        checker: The counts.
    """

    with_faults: dict[int, npt.NDArray[np.int64]]
    blamed: list[tuple[int, npt.NDArray[np.int64], int]]
    checker: Checker


Wanted = tuple[int, npt.NDArray[np.bool_]]
"""The number of a part, and which of its rows are to be checked."""


def units_of(sizes: Sequence[int], columns: int) -> list[list[int]]:
    """Return the parts whose rows are checked together, some columns at a time; usually one part each.

    Great Expectations takes its time for each expectation and chunk, whatever the rows. A part of a table with many
    columns has few rows, and a chunk of few of its columns may have more.

    Args:
        sizes: Number of rows of each part.
        columns: Number of columns of the table.
    """
    most, units, rows = rows_at_once(min(columns, COLUMNS_AT_ONCE)), list[list[int]](), 0
    for number, size in enumerate(sizes):
        if not units or rows + size > most:
            units.append([])
            rows = 0
        units[-1].append(number)
        rows += size
    return units


def check_parts(suite: tuple[Staging, Sequence[Expectation], int, int], parts: Sequence[Wanted]) -> CheckedParts:
    """Check the selected rows of some parts, each by itself.

    Args:
        suite: The batch, the expectations, and the numbers of its parts and of the units of parts.
        parts: The unit.
    """
    staging, expectations, pieces, units = suite
    checker = Checker(expectations, pieces, units)
    faults = {number: _faulty(staging, number) & wanted for number, wanted in parts}
    chosen = [(number, wanted & ~faults[number]) for number, wanted in parts]
    checker.rows = sum(int(wanted.sum()) for _, wanted in chosen)
    there = [name for name in staging.columns_of(parts[0][0]) if name not in OWN]
    blamed: list[tuple[int, npt.NDArray[np.int64], int]] = []
    for names, positions in checker.groups(there):
        # An expectation on a whole table, or with a condition on it, has its rows part by part.
        columns = checker.columns_by_row() if names is None else names
        for together in [chosen] if names is not None else [[one] for one in chosen]:
            frame, origins = rows_of_parts(staging, together, columns)
            for position, rows in checker.check_some(frame, positions):
                blamed += [(number, mine, position) for number, mine in origins.split(rows)]
    return CheckedParts({number: np.flatnonzero(faulty) for number, faulty in faults.items()}, blamed, checker)


def _faulty(staging: Staging, number: int) -> npt.NDArray[np.bool_]:
    """Return which rows of a part have a value that can't be read."""
    import pyarrow.compute as pc

    faults = staging.read_part(number, [FAULTS])[FAULTS]
    if faults.null_count == len(faults):
        return np.zeros(len(faults), dtype=np.bool_)
    return np.asarray(pc.not_equal(pc.fill_null(faults, ""), ""), dtype=np.bool_)


@dataclass(frozen=True)
class Origins:
    """Where the rows of a frame come from: the selected rows of some parts, one part after the other."""

    parts: Sequence[Wanted]

    def split(self, rows: Sequence[int]) -> "Iterator[tuple[int, npt.NDArray[np.int64]]]":
        """Yield each part that has some rows of the frame, with their positions in it.

        Args:
            rows: Positions in the frame.
        """
        positions, start = np.asarray(rows, dtype=np.int64), 0
        for number, wanted in self.parts:
            there = np.flatnonzero(wanted)
            mine = positions[(positions >= start) & (positions < start + len(there))] - start
            start += len(there)
            if len(mine):
                yield number, there[mine]


def rows_of_parts(
    staging: Staging, parts: Sequence[Wanted], columns: Sequence[str] | None
) -> tuple[pd.DataFrame, Origins]:
    """Return the selected rows of some parts, indexed from 0, without the columns of everfit's own.

    Args:
        staging: The files of the batch.
        parts: The parts.
        columns: Columns to read, if a part has them; by default all.
    """
    import pyarrow as pa

    tables = []
    for number, wanted in parts:
        names = [name for name in staging.columns_of(number) if name not in OWN]
        some = names if columns is None else [name for name in names if name in set(columns)]
        tables.append(selected_rows(staging.read_part(number, some), wanted))
    return pa.concat_tables(tables).to_pandas(split_blocks=True), Origins(parts)


def rows_of_part(
    staging: Staging, number: int, wanted: npt.NDArray[np.bool_], columns: list[str] | None = None
) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """Return the selected rows of a part, indexed from 0, and their positions in it."""
    table = staging.read_part(number, columns)
    own = [name for name in OWN if name in table.column_names and name != FAULTS]
    table = selected_rows(table.drop_columns(own), wanted)
    return table.to_pandas(split_blocks=True), np.flatnonzero(wanted)


def check_whole_columns(
    checker: Checker, batch: Batch, staging: Staging, candidates: npt.NDArray[np.bool_], bad: BadRows
) -> None:
    """Check the expectations that need whole columns, a few columns at a time."""
    parts = [(number, candidates[span]) for number, span in enumerate(slices(batch.sizes)) if candidates[span].any()]
    if not parts:
        return
    spans = list(slices(batch.sizes))
    for columns, expectations in checker.columns_of_whole():
        frame, origins = rows_of_parts(staging, parts, columns)
        for position, rows in checker.check_whole(frame, expectations):
            for number, mine in origins.split(rows):
                bad.rows[spans[number]][mine] = True
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
