"""A Delta table: appended once per transaction; and the identity of its rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.storage.table_reads import DAY, KEY, TableReads

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CONTENT", "DAY", "KEY", "OLD_DAY", "TURN", "ConflictError", "Table", "row_hashes", "row_keys"]

CONTENT, TURN = "_content", "_turn"
"""Columns of everfit's own, beside those of `table_reads`: hash of the whole row, the turn that wrote it."""

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
class Table(TableReads):
    """A Delta table under the workspace, partitioned by `_day`: written once for each transaction."""

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
            failed = self._failed(error)
            if isinstance(failed, ConflictError) and self.written(transaction):
                return int(self.open().version())  # by another who is at the same, such as a second look at a window
            raise failed from error
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
