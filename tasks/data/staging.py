"""Keep the rows that a turn has read in files of bounded size, until they are compared and checked."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from everfit.blocks.spec import ARRIVED
from everfit.tasks.data.deduplication import CHANGED, NEW, MatchedRows
from everfit.tasks.sources import FAULTS
from everfit.tasks.storage.tables import CONTENT, DAY, KEY, TURN
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

ORIGIN, PART = "_source", "_part"
"""Columns of staged rows: file, table or address of the row, and its number in the order of reading."""

OWN = (KEY, CONTENT, DAY, TURN, FAULTS, ORIGIN, PART, ARRIVED)
"""Columns of staged rows that are everfit's own."""


@dataclass(frozen=True)
class Staging:
    """The files of a turn's batch.

    Attributes:
        workspace: Workspace of the files.
        model: Name of the model.
        turn_id: The turn.
        round: How often the rows were changed by functions of the user's own; each time has files of its own.
    """

    workspace: Workspace
    model: str
    turn_id: str
    round: int = 0

    def path(self, name: str) -> str:
        """Return the path of a file."""
        folder = f"batch/{self.round}" if self.round else "batch"
        return self.workspace.turn_file(self.model, self.turn_id, f"{folder}/{name}")

    def part(self, number: int) -> str:
        """Return the path of a part of the rows."""
        return self.path(f"{number:05d}.arrow")

    def write_part(self, number: int, table: "pa.Table") -> None:
        """Write a part of the rows in Arrow's memory format, which is fast to read several times."""
        import pyarrow as pa

        options = pa.ipc.IpcWriteOptions(compression="lz4", unify_dictionaries=True)
        with (
            self.workspace.writing(self.part(number)) as stream,
            pa.ipc.new_file(stream, table.schema, options=options) as writer,
        ):
            writer.write_table(table)

    def read_part(self, number: int, columns: list[str] | None = None) -> "pa.Table":
        """Read a part of the rows, or only some of its columns.

        Raises:
            WorkspaceError: If the part doesn't exist.
        """
        import pyarrow as pa

        with self._source(number) as source:
            if columns is None:
                return pa.ipc.open_file(source).read_all()
            names = self._names(source)
            options = pa.ipc.IpcReadOptions(included_fields=sorted(names.index(name) for name in set(columns)))
            return pa.ipc.open_file(source, options=options).read_all().select(columns)

    def columns_of(self, number: int) -> list[str]:
        """Return the names of a part's columns."""
        with self._source(number) as source:
            return self._names(source)

    def _source(self, number: int) -> "pa.NativeFile":
        import pyarrow as pa

        path = self.part(number)
        if self.workspace.remote or not self.workspace.exists(path):
            return pa.BufferReader(self.workspace.read(path))
        return pa.memory_map(path)

    @staticmethod
    def _names(source: "pa.NativeFile") -> list[str]:
        import pyarrow as pa

        return list(pa.ipc.open_file(source).schema.names)

    def write_matched(self, matched: MatchedRows) -> None:
        """Write the status of the rows."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, status=matched.status, old_day=matched.old_day, in_quarantine=matched.in_quarantine)
        self.workspace.write(self.path("matched.npz"), buffer.getvalue())

    def read_matched(self) -> MatchedRows:
        """Read the status of the rows."""
        with np.load(io.BytesIO(self.workspace.read(self.path("matched.npz")))) as arrays:
            return MatchedRows(arrays["status"], arrays["old_day"], arrays["in_quarantine"])


def to_parquet(table: "pa.Table") -> bytes:
    """Return a table as the bytes of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


def from_parquet(content: bytes, columns: list[str] | None = None) -> "pa.Table":
    """Read a table from the bytes of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    return pq.read_table(pa.BufferReader(content), columns=columns)


def selected_rows(table: "pa.Table", wanted: npt.NDArray[np.bool_]) -> "pa.Table":
    """Return the selected rows of a table; without a copy if all are selected."""
    import pyarrow as pa

    return table if wanted.all() else table.filter(pa.array(wanted))


def slices(sizes: tuple[int, ...]) -> Iterator[slice]:
    """Yield the positions of each part's rows among all rows."""
    start = 0
    for size in sizes:
        yield slice(start, start + size)
        start += size


def fresh(matched: MatchedRows) -> npt.NDArray[np.bool_]:
    """Return which rows are new or changed without a conflict; shape (rows,)."""
    return np.asarray((matched.status == NEW) | (matched.status == CHANGED))
