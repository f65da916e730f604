"""A Delta table that one writer keeps open between its appends."""

from typing import TYPE_CHECKING

from everfit.tasks.storage.table_reads import TableReads

if TYPE_CHECKING:
    from deltalake import DeltaTable


class KeptTable:
    """Keeps a local table open, and brings it up to date by the commits since.

    Opening a table reads the figures of each of its files: for a log with 20,000 files, .4 s of processor time and a
    hundred megabytes, each time. Only one thread may use it: what compares a version with its own
    rows must not be given a newer one meanwhile.
    """

    def __init__(self) -> None:
        self._opened: DeltaTable | None = None
        self._stamp: tuple[int, ...] | None = None

    def newest(self, table: TableReads) -> "DeltaTable":
        """Return the newest version of a table.

        Args:
            table: The table; always the same.

        Raises:
            WorkspaceError: If there is no such table.
        """
        if "://" in table.uri:
            return table.open()  # nothing tells whether it is still the same table
        opened, stamp = self._opened, self._stamp
        self._opened = self._stamp = None  # what fails is opened again
        if opened is not None and stamp is not None and table.stamp(stamp[0]) == stamp:
            opened.update_incremental()
        else:
            opened = table.open()
        self._stamp = table.stamp(int(opened.version()))
        self._opened = opened
        return opened
