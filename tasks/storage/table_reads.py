"""Read a Delta table by window, as a whole or in chunks, at any version."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pandas as pd

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.core.records import Window
from everfit.tasks.storage.delta_errors import reason_of
from everfit.tasks.storage.durable import drop_torn_start
from everfit.tasks.storage.panics import panics_as_errors
from everfit.tasks.storage.periods import PROPERTY, Period, first_day
from everfit.tasks.storage.table_scans import Ranges, chunks_of, of_files, ordered_by, within_ranges

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pds
    from deltalake import DeltaTable

KEY, DAY = "_key", "_day"
"""Columns of everfit's own: hash of the key, and the partition, which is a day or the first day of a longer period."""


def text_field(name: str) -> "pds.Expression":
    """Return a column of text for a condition on the rows.

    Delta writes files again when it deletes rows, with texts as `string_view`, which Arrow 25 can't compare with text.
    """
    import pyarrow as pa
    import pyarrow.dataset as pds

    return pds.field(name).cast(pa.string())


@dataclass(frozen=True)
class TableReads:
    """Reads of a Delta table in the workspace, which is partitioned by `_day`.

    Attributes:
        uri: Address of the table.
        storage_options: Options to reach the store; empty for a local folder.
        historic: Whether its past versions stay readable for good, because snapshots name them.
    """

    uri: str
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)
    historic: bool = False

    @panics_as_errors()
    def open(self, version: int | None = None) -> "DeltaTable":
        """Open the table at a version; by default the newest.

        Raises:
            WorkspaceError: If there is no such table or version.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            return DeltaTable(self.uri, version=version, storage_options=dict(self.storage_options))
        except TableNotFoundError as error:
            raise WorkspaceError(f"there is no table at {self.uri!r}; has anything been ingested yet?") from error
        except (DeltaError, OSError) as error:
            reason = reason_of(error)
            raise WorkspaceError(f"the table at {self.uri!r} can't be read at version {version!r}: {reason}") from error

    @panics_as_errors()
    def open_to_read(self, version: int | None = None) -> "DeltaTable":
        """Open the table at a version, to read it alone: a local one that was opened before is not opened again.

        Opening reads all of the log, so its time grows with the days of the table, and a turn reads a table many times.
        """
        commit = self.stamp(version)
        return self.open(version) if commit is None else _opened(self.uri, *commit)

    def stamp(self, version: int | None = None) -> tuple[int, ...] | None:
        """Return what tells a local table at a version from any other, beginning with the version; else None."""
        return None if "://" in self.uri else _commit_file(self.uri, version)

    def exists(self) -> bool:
        """Return whether anything was ever appended."""
        from deltalake import DeltaTable

        if "://" not in self.uri:
            drop_torn_start(Path(self.uri))
        return DeltaTable.is_deltatable(self.uri, storage_options=dict(self.storage_options))

    def period(self, version: int | None = None) -> Period:
        """Return the longest period that a partition covers."""
        return partition_period(self.open_to_read(version))

    def version(self) -> int:
        """Return the newest version."""
        return int(self.open_to_read().version())

    def columns(self, version: int | None = None) -> dict[str, str]:
        """Return the columns with their types, as Arrow names them."""
        import pyarrow as pa

        return {item.name: str(item.type) for item in pa.schema(self.open_to_read(version).schema().to_arrow())}

    def arrow_batches(
        self,
        columns: Sequence[str],
        condition: "pds.Expression | None" = None,
        version: int | None = None,
        ranges: Ranges | None = None,
    ) -> "Iterator[pa.RecordBatch]":
        """Read some columns in chunks, as Arrow batches.

        Args:
            columns: The columns.
            condition: On the rows.
            version: Version of the table; by default the newest.
            ranges: Files may be left out that have no row within these ranges and none without a value there.
        """
        scanner = self._files(self.open_to_read(version), ranges=ranges or {}).scanner(
            columns=list(columns), filter=condition, batch_readahead=2, fragment_readahead=2
        )
        for batch in scanner.to_batches():
            if batch.num_rows:
                yield batch

    def newest(self, time_column: str, before: datetime | None = None) -> datetime | None:
        """Return the latest time in a column, or the latest before a moment, from the last day that has any."""
        return self._extreme(time_column, before, latest=True)

    def oldest(self, time_column: str) -> datetime | None:
        """Return the earliest time in a column, from the first day that has any."""
        return self._extreme(time_column, None, latest=False)

    def _extreme(self, time_column: str, before: datetime | None, *, latest: bool) -> datetime | None:
        import pyarrow.compute as pc
        import pyarrow.dataset as pds

        table = self.open_to_read()
        for text in sorted({str(partition[DAY]) for partition in table.partitions()}, reverse=latest):
            day = date.fromisoformat(text)
            there = pds.field(time_column).is_valid()
            if before is not None:
                there &= pds.field(time_column) < pd.Timestamp(before)
            times = self._files(table, day, day).to_table(columns=[time_column], filter=there)[time_column]
            extreme = pc.max(times) if latest else pc.min(times)
            if extreme.is_valid:
                found: datetime = extreme.as_py()
                return found
        return None

    def _dataset(
        self,
        window: Window | None,
        time_column: str | None,
        version: int | None,
        files: frozenset[str] | None = None,
    ) -> "tuple[pds.Dataset, pds.Expression | None]":
        import pyarrow.dataset as pds

        table = self.open_to_read(version)
        if window is None:
            return self._files(table, only=files), None
        # The partition excludes whole files before they are opened, and the time is exact.
        first, last = days_of(window, table)
        condition = pds.field(DAY) <= last
        if first is not None:
            condition &= pds.field(DAY) >= first
        if time_column is not None:
            condition &= pds.field(time_column) < pd.Timestamp(window.until)
            if window.since is not None:
                condition &= pds.field(time_column) >= pd.Timestamp(window.since)
        return self._files(table, first, last, only=files), condition

    def dataset(self, version: int | None = None) -> "pds.Dataset":
        """Return the files of a version as an Arrow dataset."""
        return self._files(self.open_to_read(version))

    def _files(
        self,
        table: "DeltaTable",
        since: date | None = None,
        until: date | None = None,
        ranges: Ranges | None = None,
        *,
        only: frozenset[str] | None = None,
    ) -> "pds.Dataset":
        """Return the table's files as an Arrow dataset; of some days only, both included, or some files, if given.

        Arrow opens the files of a local folder itself. Delta's own file system is Python, which Arrow's threads call
        while they read ahead: that is slow, and if the interpreter ends meanwhile, the process crashes or hangs. Delta
        also makes an expression of the statistics of every column of every file, which takes longer than opening it.
        A file is read as it is needed: to fetch all of it before is for stores far away, and holds twice the memory.
        """
        if "://" in self.uri or table.protocol().min_reader_version > 1:
            bounds = [f"{DAY} >= '{since}'"] * (since is not None) + [f"{DAY} <= '{until}'"] * (until is not None)
            return of_files(table.to_pyarrow_dataset(file_pruning_predicate=" AND ".join(bounds) or None), only)
        import pyarrow as pa
        import pyarrow.dataset as pds
        from pyarrow import fs

        added = within_ranges(pa.table(table.get_add_actions(flatten=True)), ranges or {})
        folder = fs.SubTreeFileSystem(self.uri, fs.LocalFileSystem())
        parquet = pds.ParquetFileFormat(default_fragment_scan_options=pds.ParquetFragmentScanOptions(pre_buffer=False))
        fragments = [
            parquet.make_fragment(unquote(path), filesystem=folder, partition_expression=pds.field(DAY) == day)
            for path, day in zip(added["path"].to_pylist(), added[f"partition.{DAY}"].to_pylist(), strict=True)
            if (since is None or day >= since) and (until is None or day <= until) and (only is None or path in only)
        ]
        return pds.FileSystemDataset(fragments, pa.schema(table.schema().to_arrow()), parquet, folder)

    def read(
        self,
        window: Window | None = None,
        time_column: str | None = None,
        columns: Sequence[str] | None = None,
        version: int | None = None,
    ) -> pd.DataFrame:
        """Read the rows of a window in a fixed order.

        Args:
            window: Span of event time; by default all rows.
            time_column: Column of the window's time; needed for a window that isn't whole days.
            columns: Columns to read; by default all.
            version: Version of the table; by default the newest.

        Returns:
            The rows, in order of time and key.

        Raises:
            WorkspaceError: If there is no such table or version.
        """
        dataset, condition = self._dataset(window, time_column, version)
        order = [name for name in (time_column, KEY) if name is not None and name in dataset.schema.names]
        wanted = None if columns is None else list(dict.fromkeys([*columns, *order]))
        read = ordered_by(dataset.to_table(columns=wanted, filter=condition), order)
        frame: pd.DataFrame = read.pop().to_pandas(self_destruct=True)
        return frame if columns is None or list(frame.columns) == list(columns) else frame[list(columns)]

    def batches(  # noqa: PLR0917
        self,
        window: Window | None = None,
        time_column: str | None = None,
        columns: Sequence[str] | None = None,
        version: int | None = None,
        rows: int = 131_072,
        condition: "pds.Expression | None" = None,
        files: frozenset[str] | None = None,
    ) -> Iterator[pd.DataFrame]:
        """Read the rows of a window in chunks, in no set order and bounded memory.

        Args:
            window: Span of event time; by default all rows.
            time_column: Column of the window's time.
            columns: Columns to read; by default all.
            version: Version of the table; by default the newest.
            rows: Maximum number of rows in a chunk. Small files are joined up to it, because a table partitioned by day
                may have many files of a few rows, and each chunk costs its reader a millisecond or more.
            condition: Further condition on the rows.
            files: Paths of the files to read, as that version has them; by default all.
        """
        dataset, inside = self._dataset(window, time_column, version, files)
        if condition is not None:
            inside = condition if inside is None else inside & condition
        scanner = dataset.scanner(
            columns=None if columns is None else list(columns),
            filter=inside,
            batch_size=rows,
            batch_readahead=2,
            fragment_readahead=2,
        )
        for chunk in chunks_of(scanner.to_batches(), rows):
            yield chunk.to_pandas()


def days_of(window: Window, table: "DeltaTable") -> tuple[date | None, date]:
    """Return the first and the last partition that may have rows of a window; None for no first one."""
    if window.since is None:
        return None, window.until.date()
    return first_day(window.since.date() - timedelta(days=1), partition_period(table)), window.until.date()


def partition_period(table: "DeltaTable") -> Period:
    """Return the longest period that a partition of an opened table covers."""
    named = table.metadata().configuration.get(PROPERTY)
    return "month" if named == "month" else "year" if named == "year" else "day"


@lru_cache(maxsize=8)
def _opened(uri: str, version: int, *_stamp: int) -> "DeltaTable":
    """Return a local table at a version; the stamp of its commit tells it from another table of that address."""
    return TableReads(uri).open(version)


def _commit_file(uri: str, version: int | None) -> tuple[int, ...] | None:
    """Return the version of a local table, and inode, time and size of its commit; None if there is no such file."""
    log = Path(uri.removeprefix("file://")) / "_delta_log"
    try:
        if version is None:
            version = max(int(path.stem) for path in log.glob("*.json") if path.stem.isdecimal())
        found = (log / f"{version:020d}.json").stat()
    except (OSError, ValueError):  # no table, or a checkpoint has replaced the commit
        return None
    return version, found.st_ino, found.st_mtime_ns, found.st_size
