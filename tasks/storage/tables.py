"""Write rows into Delta tables, once per transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.storage.panics import panics_as_errors
from everfit.tasks.storage.periods import Period, first_days
from everfit.tasks.storage.table_layout import GUARD, ConflictError, TableLayout
from everfit.tasks.storage.table_reads import DAY, KEY, partition_period

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import WriterProperties

__all__ = [
    "CONTENT",
    "DAY",
    "KEY",
    "OLD_DAY",
    "TURN",
    "AlreadyWrittenError",
    "ConflictError",
    "Table",
]

CONTENT, TURN = "_content", "_turn"
"""Columns of everfit's own, beside those of `table_reads`: hash of the whole row, and the turn that wrote it."""

OLD_DAY = "_old_day"
"""Day of the row that a changed one replaces."""


class AlreadyWrittenError(WorkspaceError):
    """A numbered append was made before."""


@dataclass(frozen=True)
class Table(TableLayout):
    """A Delta table in the workspace, partitioned by `_day` and written once per transaction."""

    @panics_as_errors()
    def append(
        self, frame: "pd.DataFrame | pa.Table", transaction: str, after: int | None = None, number: int | None = None
    ) -> int:
        """Append rows once; the same transaction again adds nothing.

        Args:
            frame: The rows, with a `_day` column.
            transaction: Unique name of this append, such as a turn's id and step.
            after: Version that the rows were compared with; -1 for a table that didn't exist. With it, the append is
                refused if another guarded write has happened since.
            number: Number of this append among those of the same name, which only grows. Such an append is committed
                without rows too.

        Returns:
            The table's version of this append.

        Raises:
            AlreadyWrittenError: If an append of this name has this number or a greater one.
            ConflictError: If another writer was faster.
            WorkspaceError: If the store refuses the write.
        """
        import pyarrow as pa
        from deltalake import write_deltalake
        from deltalake.exceptions import DeltaError

        rows = frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, preserve_index=False)
        rows = rows.replace_schema_metadata(None)
        try:
            if not self.exists():
                self.create(rows.schema)
            table = self.open_to_append()
            last = table.transaction_version(transaction)
            if number is not None and last is not None and last >= number:
                self.sync_found(transaction)
                raise AlreadyWrittenError(f"{self.uri!r} has append {last} of {transaction!r}")
            if number is None and (last is not None or len(rows) == 0):
                if last is not None:
                    self.sync_found(transaction)
                return int(table.version())
            if after is not None and table.version() != max(after, 0):
                table = self.open(max(after, 0))  # version 0 of a new table has no rows, like a table that didn't exist
            write_deltalake(
                table,
                _in_partitions(rows, partition_period(table)),
                mode="append",
                partition_by=[DAY],
                schema_mode="merge",
                commit_properties=self._commit(transaction, after, 1 if number is None else number),
                writer_properties=_properties(rows.schema),
            )
        except (DeltaError, OSError) as error:
            failed = self.failed_write(error)
            if number is None and isinstance(failed, ConflictError) and self.written(transaction):
                self.sync_found(transaction)  # another process has made the same write
                return int(self.open().version())
            raise failed from error
        self.sync(table.version())
        # Don't take the newest version: another writer may have added rows that these weren't compared with.
        return int(table.version())

    @panics_as_errors()
    def supersede(self, frame: "pd.DataFrame | pa.Table", transaction: str, after: int | None = None) -> int:
        """Replace rows that have the same `_key`; earlier versions keep the old contents.

        Args:
            frame: The rows, with a `_day` column and, if it differs, the replaced row's day in `_old_day`.
            transaction: Unique name of this write.
            after: As in `append`.

        Returns:
            The table's version of this write.

        Raises:
            ConflictError: If another writer was faster.
            WorkspaceError: If the store refuses the write.
        """
        import pyarrow as pa
        from deltalake.exceptions import DeltaError

        table = self.open()
        if table.transaction_version(transaction) is not None:
            self.sync_found(transaction)
            return int(table.version())
        if len(frame) == 0:
            return int(table.version())
        if after is not None and after >= 0:
            table = self.open(after)
        rows = frame if isinstance(frame, pa.Table) else pa.Table.from_pandas(frame, preserve_index=False)
        old_days = rows[OLD_DAY if OLD_DAY in rows.column_names else DAY]
        days = ", ".join(f"'{day}'" for day in sorted(set(old_days.unique().to_pylist())))
        rows = rows.drop_columns([OLD_DAY]) if OLD_DAY in rows.column_names else rows
        rows = _in_partitions(rows, partition_period(table))
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
            raise self.failed_write(error) from error
        self.sync(table.version())
        return int(table.version())

    @panics_as_errors()
    def update_matched(
        self, rows: "pa.Table", condition: str, columns: Sequence[str], transaction: str
    ) -> dict[str, Any]:
        """Set columns of the rows (`old`) that match a row of another table (`new`), once.

        Returns:
            Delta's metrics of the write.
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
            metrics = dict(merging.when_matched_update({name: f"new.{name}" for name in columns}).execute())
        except (DeltaError, OSError) as error:
            raise self.failed_write(error) from error
        self.sync(self.open().version())
        return metrics

    @panics_as_errors()
    def remove(self, predicate: str) -> int:
        """Remove the rows that satisfy a condition; earlier versions keep them.

        A writer that has compared rows with an earlier version, and is about to write, will be refused.

        Returns:
            Number of removed rows.

        Raises:
            ConflictError: If another writer was faster.
            WorkspaceError: If the store refuses the write.
        """
        from deltalake import CommitProperties, Transaction
        from deltalake.exceptions import DeltaError

        table = self.open()
        guard = CommitProperties(app_transactions=[Transaction(GUARD, table.version() + 1)])
        try:
            removed = int(table.delete(predicate, commit_properties=guard).get("num_deleted_rows", 0))
        except (DeltaError, OSError) as error:
            raise self.failed_write(error) from error
        self.sync(table.version())
        return removed

    def _commit(self, transaction: str, after: int | None, number: int = 1) -> Any:
        """Return the properties that name a write; a guarded write also collides with every other guarded one."""
        from deltalake import CommitProperties, Transaction

        transactions = [Transaction(transaction, number)]
        if after is not None:
            transactions.append(Transaction(GUARD, after + 1))
        return CommitProperties(app_transactions=transactions)

    def written(self, transaction: str) -> bool:
        """Return whether the table has a write of that name."""
        return self.exists() and self.open().transaction_version(transaction) is not None


def _in_partitions(rows: "pa.Table", period: Period) -> "pa.Table":
    """Return rows with the first day of their period in place of their day."""
    position = rows.schema.get_field_index(DAY)
    return rows if period == "day" else rows.set_column(position, DAY, first_days(rows[DAY], period))


def _properties(schema: "pa.Schema") -> "WriterProperties":
    """Return how the columns of a file are written: of numbers and times without a dictionary of their values.

    A dictionary seldom makes them smaller, takes half of the time of a write, and memory for each column and partition,
    which the process keeps.
    """
    import pyarrow as pa
    from deltalake import ColumnProperties, WriterProperties

    plain = ColumnProperties(dictionary_enabled=False)
    is_text = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_nested)
    columns = {field.name: plain for field in schema if not any(check(field.type) for check in is_text)}
    return WriterProperties(compression="SNAPPY", column_properties=columns)
