"""Cut a table into parts of some files, which can be read by themselves, also on other machines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from everfit.tasks.core.records import Window
from everfit.tasks.storage.table_reads import DAY, TableReads, days_of

if TYPE_CHECKING:
    import pandas as pd

PART_ROWS = 1_000_000
"""Rows of a part of several files; a file is never cut."""


@dataclass(frozen=True)
class TablePart:
    """Some files of a table.

    Attributes:
        version: The version of the table.
        files: The paths of the files, as this version has them.
        rows: The number of their rows, of any window.
    """

    version: int
    files: frozenset[str]
    rows: int

    def batches(
        self, table: TableReads, window: Window | None, time_column: str | None, columns: Sequence[str]
    ) -> "Iterator[pd.DataFrame]":
        """Read the rows of a window in chunks, as `TableReads.batches` does.

        Args:
            table: The table.
            window: Span of event time; None for all rows.
            time_column: Column of the window's time.
            columns: Columns to read.
        """
        yield from table.batches(window, time_column, columns, version=self.version, files=self.files)


def table_parts(table: TableReads, window: Window | None = None, rows: int | None = None) -> list[TablePart]:
    """Cut the files that may have rows of a window into parts, in the order in which they are read.

    Args:
        table: The table, which need not exist.
        window: Span of event time; by default all rows.
        rows: Most rows of a part of several files; by default `PART_ROWS`.
    """
    import pyarrow as pa

    if not table.exists():
        return []
    opened, most = table.open_to_read(), PART_ROWS if rows is None else rows
    first, last = (None, None) if window is None else days_of(window, opened)
    added = pa.table(opened.get_add_actions(flatten=True)).select(["path", "num_records", f"partition.{DAY}"])
    parts: list[tuple[list[str], int]] = []
    for path, known, day in zip(*(column.to_pylist() for column in added.columns), strict=True):
        if (first is not None and day < first) or (last is not None and day > last):
            continue
        count = known or 0  # every writer of a table gives the number; without it a part is only larger
        files, there = parts[-1] if parts else ([], 0)
        if not parts or there + count > most:
            parts.append(([path], count))
        else:
            files.append(path)
            parts[-1] = files, there + count
    return [TablePart(int(opened.version()), frozenset(files), count) for files, count in parts]
