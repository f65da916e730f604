"""How a Delta table is stored in files: the empty table, merged files, longer partitions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.storage.delta_errors import reason_of
from everfit.tasks.storage.kept_table import KeptTable
from everfit.tasks.storage.panics import panics_as_errors
from everfit.tasks.storage.periods import PROPERTY, Period, is_longer
from everfit.tasks.storage.table_flushes import TableFlushes
from everfit.tasks.storage.table_reads import DAY, partition_period

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

_ALL_HISTORY = {"delta.enableExpiredLogCleanup": "false", "delta.logRetentionDuration": "interval 36500 days"}
"""Properties of a table whose past versions snapshots name; Delta would delete them after 30 days."""

_STATISTICS = "delta.dataSkippingStatsColumns"
"""Property of a table."""

GUARD = "everfit"
"""Application id of guarded writes: of two with the same number, Delta accepts only one."""


class ConflictError(WorkspaceError):
    """Another process wrote to a table between a read and a write of ours."""


@dataclass(frozen=True)
class TableLayout(TableFlushes):
    """A Delta table whose files can be written again while its rows stay the same.

    Attributes:
        kept: Keeps it open between the appends of its only writer in this process; by default it is opened each time.
    """

    kept: KeptTable | None = field(default=None, compare=False, repr=False)

    @panics_as_errors()
    def create(self, schema: "pa.Schema", period: Period = "day", statistics: Sequence[str] = ()) -> None:
        """Create the table without rows: if two writers created it with theirs at once, Delta would take both.

        Args:
            schema: The columns.
            period: The period that a partition covers.
            statistics: Columns whose least and greatest values the log of the table has for each file; by default the
                first 32. They are most of what has to be read to open the table.
        """
        from deltalake import DeltaTable

        DeltaTable.create(
            self.uri,
            schema,
            mode="ignore",
            partition_by=[DAY],
            configuration={
                **(_ALL_HISTORY if self.historic else {}),
                **({} if period == "day" else {PROPERTY: period}),
                **({_STATISTICS: ",".join(statistics)} if statistics else {}),
            },
            storage_options=dict(self.storage_options) or None,
            raise_if_key_not_exists=False,
        )
        self.sync(0)

    def open_to_append(self) -> "DeltaTable":
        """Open the newest version; flush the first one before anything follows it.

        After a power cut a first commit without its content can be dropped if it is the only one, and no other.
        """
        table = self.open() if self.kept is None else self._kept_open(self.kept)
        if table.version() == 0:
            self.sync(0)
        return table

    @panics_as_errors()
    def _kept_open(self, kept: KeptTable) -> "DeltaTable":
        return kept.newest(self)

    @panics_as_errors()
    def compact(self) -> int:
        """Merge the small files of each day; the rows stay the same.

        Returns:
            Number of files that this saves.

        Raises:
            ConflictError: If another process changed rows at the same time.
            WorkspaceError: If the store refuses the write.
        """
        from deltalake.exceptions import DeltaError

        table = self.open()
        before = table.version()
        try:
            metrics = table.optimize.compact()
        except (DeltaError, OSError) as error:
            raise self.failed_write(error) from error
        self.sync(*range(before + 1, table.version() + 1))
        return int(metrics["numFilesRemoved"]) - int(metrics["numFilesAdded"])

    @panics_as_errors()
    def lengthen(self, period: Period) -> int:
        """Let each partition cover a longer period; the rows stay the same, but for their partition.

        A longer period only widens what a reader looks through, so the property comes first: a process that dies before
        the rows are written again leaves a table that is right.

        Returns:
            Number of files that this saves.

        Raises:
            ConflictError: If another process changed rows at the same time.
            WorkspaceError: If the store refuses the write.
        """
        from deltalake import CommitProperties, Transaction
        from deltalake.exceptions import DeltaError

        table = self.open()
        if is_longer(partition_period(table), period):
            period = partition_period(table)  # some rows may be in longer partitions already
        before = table.version()
        try:
            table.alter.set_table_properties({PROPERTY: period}, raise_if_not_exists=False)
            table = self.open()
            guard = CommitProperties(app_transactions=[Transaction(GUARD, table.version() + 1)])
            first = f"cast(date_trunc('{period}', {DAY}) as date)"
            metrics = table.update(updates={DAY: first}, predicate=f"{DAY} != {first}", commit_properties=guard)
        except (DeltaError, OSError) as error:
            raise self.failed_write(error) from error
        self.sync(*range(before + 1, table.version() + 1))
        return int(metrics["num_removed_files"]) - int(metrics["num_added_files"])

    def failed_write(self, error: Exception) -> WorkspaceError:
        """Return what a write that failed says, with what to do."""
        from deltalake.exceptions import CommitFailedError

        message = reason_of(error)
        if isinstance(error, CommitFailedError) or "already exists" in message:
            return ConflictError(f"another process wrote to {self.uri!r} at the same time; run the turn again")
        return WorkspaceError(f"the table at {self.uri!r} can't be written: {message}; run the turn again")
