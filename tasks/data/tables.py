"""A Delta table: appended once per transaction, read by window, at any version."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.records import Window

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pds
    from deltalake import DeltaTable

KEY, CONTENT, DAY, TURN = "_key", "_content", "_day", "_turn"
"""Columns of everfit's own: hash of the key, hash of the whole row, the day partition, the turn that wrote it."""

OLD_DAY = "_old_day"
"""The day of the row that a changed one replaces."""

_ALL_HISTORY = {"delta.enableExpiredLogCleanup": "false", "delta.logRetentionDuration": "interval 36500 days"}
"""Properties of a table whose past versions are named elsewhere; Delta forgets them after 30 days otherwise."""

_GUARD = "everfit"
"""Of two writes with this application id over one version, Delta lets only one through."""


class ConflictError(WorkspaceError):
    """Another process wrote to a table between our reading and writing."""


def row_hashes(frame: pd.DataFrame, columns: Sequence[str]) -> npt.NDArray[np.int64]:
    """Hash each row over some columns, the same in every process; shape (rows,).

    Whole numbers hash alike whether they are stored as integers or floats, and times whatever their unit. What is
    missing adds nothing, so that a column that has come since, and is empty, leaves a row what it was.
    """
    total = np.zeros(len(frame), dtype=np.uint64)
    for name in sorted(columns):
        # The column's name goes into the hash, so that equal values that trade columns don't cancel out.
        salt = pd.util.hash_array(np.array([name], dtype=object))[0]
        mixed = (_column_hashes(frame[name]) ^ salt) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
        mixed[frame[name].isna().to_numpy()] = 0
        total += mixed
    return total.view(np.int64)


def _column_hashes(column: pd.Series) -> npt.NDArray[np.uint64]:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        values = column.dt.tz_convert("UTC").dt.as_unit("us").astype("int64").to_numpy()
    elif pd.api.types.is_float_dtype(column.dtype):
        floats = column.to_numpy(dtype=np.float64, na_value=np.nan)
        with np.errstate(invalid="ignore"):
            whole = floats.astype(np.int64)
        # What is too large for an integer, and what is no number, becomes one of its two ends.
        ends = (whole == np.iinfo(np.int64).min) | (whole == np.iinfo(np.int64).max)
        values = np.where((whole == floats) & ~ends, whole, floats.view(np.int64))
        values[np.isnan(floats)] = np.iinfo(np.int64).min  # there are many bit patterns of NaN, and one missing value
    elif pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_integer_dtype(column.dtype):
        values = column.to_numpy(dtype=np.int64, na_value=np.iinfo(np.int64).min)
    else:
        codes, found = pd.factorize(column)  # each text is hashed once
        texts = np.array([*map(str, found), ""], dtype=object)
        return pd.util.hash_array(texts, categorize=False)[codes]
    return pd.util.hash_array(values)


def row_keys(frame: pd.DataFrame, key: Sequence[str]) -> npt.NDArray[np.int64]:
    """Hash each row's key; without a key, or where a part of it is missing, the whole row is its own. Shape (rows,)."""
    whole = [name for name in frame.columns if not name.startswith("_")]
    if not key:
        return row_hashes(frame, whole)
    keys = row_hashes(frame, key)
    incomplete = frame[list(key)].isna().any(axis=1).to_numpy()
    if incomplete.any():
        keys[incomplete] = row_hashes(frame[incomplete], whole)
    return keys


@dataclass(frozen=True)
class Table:
    """A Delta table under the workspace, partitioned by `_day`.

    Attributes:
        uri: Where it lies.
        storage_options: What is needed to reach the store; empty for a local folder.
        historic: Whether its past versions stay readable for as long as somebody may name them.
    """

    uri: str
    storage_options: Mapping[str, str] = field(default_factory=dict, repr=False)
    historic: bool = False

    def open(self, version: int | None = None) -> "DeltaTable":
        """The table itself, at a version; the newest without it.

        Raises:
            WorkspaceError: there is no such table or version.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            return DeltaTable(self.uri, version=version, storage_options=dict(self.storage_options))
        except TableNotFoundError as error:
            raise WorkspaceError(f"there is no table at {self.uri!r}; has anything been ingested yet?") from error
        except DeltaError as error:
            raise WorkspaceError(f"the table at {self.uri!r} can't be read at version {version!r}: {error}") from error

    def exists(self) -> bool:
        """Whether anything was ever appended."""
        from deltalake import DeltaTable

        return DeltaTable.is_deltatable(self.uri, storage_options=dict(self.storage_options))

    def version(self) -> int:
        """The newest version."""
        return int(self.open().version())

    def columns(self, version: int | None = None) -> dict[str, str]:
        """The columns and their types, as Arrow names them."""
        import pyarrow as pa

        return {item.name: str(item.type) for item in pa.schema(self.open(version).schema().to_arrow())}

    def append(self, frame: "pd.DataFrame | pa.Table", transaction: str, after: int | None = None) -> int:
        """Append rows once: the same transaction again adds nothing.

        Args:
            frame: The rows, with a `_day` column.
            transaction: Names this append for ever, such as a turn's id and step.
            after: The version that the rows were compared with; -1 for a table that was not there. With it, the append
                is refused if another guarded write has come since.

        Returns:
            The version of the table that this append made.

        Raises:
            ConflictError: another writer was faster.
            WorkspaceError: the store refuses.
        """
        import pyarrow as pa
        from deltalake import write_deltalake
        from deltalake.exceptions import DeltaError

        rows = frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, preserve_index=False)
        rows = rows.replace_schema_metadata(None)
        try:
            if not self.exists():
                self._create(rows.schema)
            table = self.open()
            if table.transaction_version(transaction) is not None or len(rows) == 0:
                return int(table.version())
            if after is not None:
                table = self.open(max(after, 0))  # one that was not there was compared with no row, as it is made
            write_deltalake(
                table,
                rows,
                mode="append",
                partition_by=[DAY],
                schema_mode="merge",
                commit_properties=self._commit(transaction, after),
            )
        except (DeltaError, OSError) as error:
            raise self._failed(error) from error
        # Not the newest: another's write may have come since, which these rows were not compared with.
        return int(table.version())

    def _create(self, schema: "pa.Schema") -> None:
        """Make the table, without rows: of two that made it with theirs at once, Delta would take both."""
        from deltalake import DeltaTable

        DeltaTable.create(
            self.uri,
            schema,
            mode="ignore",
            partition_by=[DAY],
            configuration=_ALL_HISTORY if self.historic else None,
            storage_options=dict(self.storage_options) or None,
        )

    def supersede(self, frame: "pd.DataFrame | pa.Table", transaction: str, after: int | None = None) -> int:
        """Put newer contents in the place of rows that have the same `_key`; earlier versions keep the old.

        Args:
            frame: The rows, with a `_day` column and the day of the row that each replaces in `_old_day`, if it is
                another one.
            transaction: Names this write for ever.
            after: As for `append`.

        Returns:
            The version of the table that this write made.

        Raises:
            ConflictError: another writer was faster.
            WorkspaceError: the store refuses.
        """
        import pyarrow as pa
        from deltalake.exceptions import DeltaError

        table = self.open()
        if len(frame) == 0 or table.transaction_version(transaction) is not None:
            return int(table.version())
        if after is not None and after >= 0:
            table = self.open(after)
        rows = frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, preserve_index=False)
        old_days = rows[OLD_DAY if OLD_DAY in rows.column_names else DAY]
        days = ", ".join(f"'{day}'" for day in sorted(set(old_days.unique().to_pylist())))
        rows = rows.drop_columns([OLD_DAY]) if OLD_DAY in rows.column_names else rows
        there = {item.name: item.type for item in pa.schema(table.schema().to_arrow())}
        for name in [name for name in there if name not in rows.column_names]:
            rows = rows.append_column(name, pa.nulls(len(rows), there[name]))
        try:
            (
                table.merge(
                    rows.replace_schema_metadata(None),
                    predicate=f"old.{KEY} = new.{KEY} AND old.{DAY} IN ({days})",
                    source_alias="new",
                    target_alias="old",
                    merge_schema=True,
                    commit_properties=self._commit(transaction, after),
                )
                .when_matched_update_all()
                .execute()
            )
        except (DeltaError, OSError) as error:
            raise self._failed(error) from error
        return int(table.version())

    def update_matched(
        self, rows: "pa.Table", condition: str, columns: Sequence[str], transaction: str
    ) -> dict[str, Any]:
        """Set columns of the rows (`old`) that match a row of another table (`new`), once.

        Returns:
            What was done, as Delta counts it.
        """
        from deltalake.exceptions import DeltaError

        try:
            merging = self.open().merge(
                rows,
                condition,
                source_alias="new",
                target_alias="old",
                commit_properties=self._commit(transaction, None),
            )
            return dict(merging.when_matched_update({name: f"new.{name}" for name in columns}).execute())
        except (DeltaError, OSError) as error:
            raise self._failed(error) from error

    def remove(self, predicate: str) -> int:
        """Remove the rows that a condition holds of; earlier versions keep them.

        Who has compared rows with the version before, and is about to write over it, will be refused.

        Returns:
            How many rows were removed.

        Raises:
            ConflictError: another writer was faster.
            WorkspaceError: the store refuses.
        """
        from deltalake import CommitProperties, Transaction
        from deltalake.exceptions import DeltaError

        table = self.open()
        guard = CommitProperties(app_transactions=[Transaction(_GUARD, table.version() + 1)])
        try:
            return int(table.delete(predicate, commit_properties=guard).get("num_deleted_rows", 0))
        except (DeltaError, OSError) as error:
            raise self._failed(error) from error

    def compact(self) -> int:
        """Make one file of the small ones of each day; the rows stay what they are.

        Returns:
            How many files there are less.

        Raises:
            ConflictError: another process changed rows at the same time.
            WorkspaceError: the store refuses.
        """
        from deltalake.exceptions import DeltaError

        try:
            found = self.open().optimize.compact()
        except (DeltaError, OSError) as error:
            raise self._failed(error) from error
        return int(found["numFilesRemoved"]) - int(found["numFilesAdded"])

    def arrow_batches(
        self, columns: Sequence[str], condition: "pds.Expression | None" = None, version: int | None = None
    ) -> "Iterator[pa.RecordBatch]":
        """Read some columns piece by piece, as Arrow has them."""
        scanner = self._files(self.open(version)).scanner(
            columns=list(columns), filter=condition, batch_readahead=2, fragment_readahead=2
        )
        for batch in scanner.to_batches():
            if batch.num_rows:
                yield batch

    def _commit(self, transaction: str, after: int | None) -> Any:
        """What names a write; a guarded one also collides with each other that was made meanwhile."""
        from deltalake import CommitProperties, Transaction

        own = [Transaction(transaction, 1)]
        if after is not None:
            own.append(Transaction(_GUARD, after + 1))
        return CommitProperties(app_transactions=own)

    def _failed(self, error: Exception) -> WorkspaceError:
        from deltalake.exceptions import CommitFailedError

        told = str(error).splitlines()[0]
        if isinstance(error, CommitFailedError) or "already exists" in told:
            return ConflictError(f"another process wrote to {self.uri!r} at the same time; run the turn again")
        return WorkspaceError(f"the table at {self.uri!r} can't be written: {told}; run the turn again")

    def written(self, transaction: str) -> bool:
        """Whether a write of that name is in the table."""
        return self.exists() and self.open().transaction_version(transaction) is not None

    def newest(self, time_column: str, before: datetime | None = None) -> datetime | None:
        """The latest time in a column, or the latest before a moment; only the last day that has any is read."""
        import pyarrow.compute as pc
        import pyarrow.dataset as pds

        table = self.open()
        dataset = self._files(table)
        for day in sorted({str(each[DAY]) for each in table.partitions()}, reverse=True):
            there = (pds.field(DAY) == date.fromisoformat(day)) & pds.field(time_column).is_valid()
            if before is not None:
                there &= pds.field(time_column) < pd.Timestamp(before)
            found = pc.max(dataset.to_table(columns=[time_column], filter=there)[time_column])
            if found.is_valid:
                newest: datetime = found.as_py()
                return newest
        return None

    def _dataset(
        self, window: Window | None, time_column: str | None, version: int | None
    ) -> "tuple[pds.Dataset, pds.Expression | None]":
        import pyarrow.dataset as pds

        table = self.open(version)
        if window is None:
            return self._files(table), None
        # The day prunes whole files before they are looked at, the time is exact.
        days = f"{DAY} <= '{window.until.date()}'"
        condition = pds.field(DAY) <= window.until.date()
        if window.since is not None:
            first = window.since.date() - timedelta(days=1)
            days += f" AND {DAY} >= '{first}'"
            condition &= pds.field(DAY) >= first
        if time_column is not None:
            condition &= pds.field(time_column) < pd.Timestamp(window.until)
            if window.since is not None:
                condition &= pds.field(time_column) >= pd.Timestamp(window.since)
        return self._files(table, file_pruning_predicate=days), condition

    def _files(self, table: "DeltaTable", **options: Any) -> "pds.Dataset":
        """The table's files, to be read by Arrow.

        Those of a local folder are opened by Arrow itself. Delta's own file system is Python, which Arrow's threads
        call while they read ahead: slowly, and when the interpreter ends meanwhile, the process dies by a signal or
        hangs.
        """
        from pyarrow import fs

        local = None if "://" in self.uri else fs.SubTreeFileSystem(self.uri, fs.LocalFileSystem())
        return table.to_pyarrow_dataset(filesystem=local, **options)

    def read(
        self,
        window: Window | None = None,
        time_column: str | None = None,
        columns: Sequence[str] | None = None,
        version: int | None = None,
    ) -> pd.DataFrame:
        """Read the rows of a window, in an order that is always the same.

        Args:
            window: By event time; all rows without it.
            time_column: The column that the window is of; needed with a window for more than whole days.
            columns: Those wanted; all without it.
            version: Of the table; the newest without it.

        Returns:
            The rows, in order of time and key.

        Raises:
            WorkspaceError: there is no such table or version.
        """
        dataset, condition = self._dataset(window, time_column, version)
        order = [name for name in (time_column, KEY) if name is not None and name in dataset.schema.names]
        wanted = None if columns is None else list(dict.fromkeys([*columns, *order]))
        table = dataset.to_table(columns=wanted, filter=condition)
        if order:
            table = table.sort_by([(name, "ascending") for name in order])
        frame: pd.DataFrame = table.to_pandas()
        return frame if columns is None else frame[list(columns)]

    def batches(  # noqa: PLR0917
        self,
        window: Window | None = None,
        time_column: str | None = None,
        columns: Sequence[str] | None = None,
        version: int | None = None,
        rows: int = 131_072,
        condition: "pds.Expression | None" = None,
    ) -> Iterator[pd.DataFrame]:
        """Read the rows of a window piece by piece, in no set order, in bounded memory.

        Args:
            window: By event time; all rows without it.
            time_column: The column that the window is of.
            columns: Those wanted; all without it.
            version: Of the table; the newest without it.
            rows: At most, in a piece.
            condition: What else must hold of the rows.
        """
        dataset, inside = self._dataset(window, time_column, version)
        if condition is not None:
            inside = condition if inside is None else inside & condition
        scanner = dataset.scanner(
            columns=None if columns is None else list(columns),
            filter=inside,
            batch_size=rows,
            batch_readahead=2,
            fragment_readahead=2,
        )
        for batch in scanner.to_batches():
            if batch.num_rows:
                yield batch.to_pandas()
