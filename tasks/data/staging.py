"""Keep the rows that a turn has read in files of bounded size, until they are compared and checked."""

import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.spec import ARRIVED, ColumnRoles
from everfit.tasks.data.deduplication import CHANGED, NEW, MatchedRows
from everfit.tasks.sources import FAULTS, Chunk
from everfit.tasks.sources.chunks import rows_at_once
from everfit.tasks.storage.deleted_keys import DeletedKeys
from everfit.tasks.storage.kinds import REWRITTEN, STORED, Kind, common_kind, infer_kind, kinds_of_spec, plain
from everfit.tasks.storage.row_hashes import row_hashes, row_keys
from everfit.tasks.storage.tables import CONTENT, DAY, KEY, TURN
from everfit.tasks.storage.values import faulty, normalise
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


class Stager:
    """Gathers chunks of a source into parts of equal types, with the identities of their rows.

    Args:
        staging: Files for the parts.
        roles: Roles of the columns.
        known: Kinds of the dataset's columns; empty before the first batch.
        identity: Columns that identify rows without a key; None for all.
        until: End of the turn's window.
        is_classification: Whether the target has classes.
        texts: Columns that are text, whatever their pieces look like.
        deleted: Keys whose rows are left out, because their deletion was requested.
    """

    def __init__(
        self,
        staging: Staging,
        roles: ColumnRoles,
        known: dict[str, Kind],
        identity: list[str] | None,
        until: datetime,
        *,
        is_classification: bool,
        texts: Collection[str] = (),
        deleted: DeletedKeys | None = None,
    ) -> None:
        self.staging, self.roles, self.until = staging, roles, until
        self.known, self.texts, self.deleted = known, texts, deleted
        self.decided = kinds_of_spec(roles.any_spelling, roles.numbers)
        self.identity, self.is_classification = identity, is_classification
        self.sizes: list[int] = []
        self.left_out = 0
        self.origins: list[str] = []
        self.ignored: set[str] = set()
        self.missing: dict[str, str] = {}
        self.kinds: dict[str, Kind] = {}
        self.rewritten: set[str] = set()
        self._seen: list[dict[str, Kind]] = []
        self._kinds: list[dict[str, Kind]] = []
        self._held: list[Chunk] = []

    def add(self, chunk: Chunk) -> None:
        """Stage a chunk."""
        if not self.origins or self.origins[-1] != chunk.origin:
            self.origins.append(chunk.origin)
        own = [name for name in chunk.frame.columns if str(name).startswith("_") and name != FAULTS]
        frame = chunk.frame.drop(columns=own) if own else chunk.frame
        if self.known:
            unknown = [name for name in frame.columns if name not in self._expected and name != FAULTS]
            self.ignored.update(unknown)
            frame = frame.drop(columns=unknown)
            for name in self._expected:
                if name not in frame.columns and name not in self.roles.ignore:
                    self.missing.setdefault(name, chunk.origin)
        self._held.append(Chunk(str(len(self.origins) - 1), frame))
        if sum(len(held.frame) for held in self._held) >= rows_at_once(len(frame.columns)):
            self._flush()

    @property
    def _expected(self) -> list[str]:
        return list(dict.fromkeys([*self.known, *self.roles.named()]))

    def _flush(self) -> None:
        if not self._held:
            return
        frames = [held.frame for held in self._held]
        parts = np.repeat([int(held.origin) for held in self._held], [len(frame) for frame in frames])
        self._held = []
        # Each piece shows its own kinds: in one frame, numbers beside texts would all be texts.
        seen = [{name: self._kind(name, frame[name]) for name in frame.columns if name != FAULTS} for frame in frames]
        self._seen += seen
        names = list(dict.fromkeys(name for kinds in seen for name in kinds))
        kinds = {name: _of_part([kinds[name] for kinds in seen if name in kinds]) for name in names}
        brought = [normalise(frame, kinds) for frame in frames]
        whole = pd.concat(brought, ignore_index=True) if len(brought) > 1 else brought[0]
        self._kinds.append(kinds)
        self.sizes.append(0)
        self._write(len(self.sizes) - 1, whole, parts.astype(np.int32))

    def _kind(self, name: str, column: pd.Series) -> Kind:
        if name in self.known:
            return self.known[name]
        if name in self.decided:
            return self.decided[name]
        if name in self.texts:
            return "text"
        is_label = name == self.roles.target and self.is_classification
        kind = infer_kind(column, is_key=name in self.roles.key, is_label=is_label)
        # A time column without a value is one all the same: its rows have days, and go to quarantine.
        is_time = name in {self.roles.event_time, self.roles.label_time}
        return "time" if is_time and kind == "empty" else kind

    def finish(self) -> dict[str, Kind]:
        """Stage the remaining rows, and give all parts types that fit every one of them.

        Returns:
            Kinds of the columns.
        """
        self._flush()
        names = list(dict.fromkeys(name for kinds in self._kinds for name in kinds))
        seen = {name: [kinds[name] for kinds in self._seen if name in kinds] for name in names}
        final = {name: common_kind(kinds) for name, kinds in seen.items()}
        self.rewritten = {name for name, kind in final.items() if kind == "text" and REWRITTEN.intersection(seen[name])}
        if not self.known:  # an empty column doesn't show its type yet
            empty = {name for name, kind in final.items() if kind == "empty" and name not in self.roles.named()}
            self.ignored |= empty
            final = {name: kind for name, kind in final.items() if name not in empty}
        final |= {name: kind for name, kind in self.known.items() if name not in final}
        held = {name: STORED[plain(kind)] for name, kind in final.items()}
        for number, kinds in enumerate(self._kinds):
            if {name: STORED[plain(kind)] for name, kind in kinds.items()} != held:
                table = self.staging.read_part(number)
                frame = table.drop_columns([name for name in OWN if name in table.column_names and name != FAULTS])
                self._write(number, normalise(frame.to_pandas(), final), table[PART].to_numpy())
        self.kinds = final
        return final

    def _write(self, number: int, frame: pd.DataFrame, parts: npt.NDArray[np.int32]) -> None:
        import pyarrow as pa

        values = frame.drop(columns=FAULTS)
        keys = row_keys(values if self.roles.key else _only(values, self.identity), self.roles.key)
        if self.deleted is not None and (gone := self.deleted.among_rows(values, keys)).any():
            self.left_out += int(gone.sum())
            frame, values = (each[~gone].reset_index(drop=True) for each in (frame, values))
            keys, parts = keys[~gone], parts[~gone]
        self.sizes[number] = len(frame)
        contents = row_hashes(values, list(values.columns))
        if (blank := faulty(frame) & values.isna().all(axis=1).to_numpy()).any():
            # Only their reasons tell lines apart that could not be read.
            keys[blank] = contents[blank] = row_hashes(frame[blank].rename(columns={FAULTS: "reason"}), ["reason"])
        own: dict[str, Any] = {
            KEY: keys,
            CONTENT: contents,
            DAY: pa.array(self._days(values), pa.int32()).cast(pa.date32()),
            TURN: pa.DictionaryArray.from_arrays(np.zeros(len(frame), dtype=np.int32), [self.staging.turn_id]),
            ORIGIN: pa.DictionaryArray.from_arrays(parts, pa.array(self.origins)),
            PART: parts,
        }
        if self.roles.event_time is None:
            # Use the last moment before the window's end, so that the row is inside the window.
            moment = pd.Timestamp(self.until) - timedelta(microseconds=1)
            own[ARRIVED] = pa.array([moment.to_pydatetime()] * len(frame), pa.timestamp("us", tz="UTC"))
        table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
        for name, column in own.items():
            table = table.append_column(name, pa.chunked_array([column]))
        self.staging.write_part(number, table)

    def _days(self, frame: pd.DataFrame) -> npt.NDArray[np.int32]:
        """Return each row's day in days since 1970; without an event time it is the day of the window's end."""
        today = np.datetime64(self.until.date(), "D").astype(np.int32)
        if self.roles.event_time is None:
            return np.full(len(frame), today, dtype=np.int32)
        times = frame[self.roles.event_time].dt.tz_convert(None).to_numpy()
        days = times.astype("datetime64[D]").astype(np.int64)
        return np.where(np.isnat(times), today, days).astype(np.int32)


def _of_part(kinds: list[Kind]) -> Kind:
    """Return the kind of a part; texts of numbers stay texts until all pieces are known."""
    kind = common_kind(kinds)
    return kind if kind != "text" or "text" in kinds or {*kinds} - {"digits", "numeral", "empty"} else kinds[0]


def _only(frame: pd.DataFrame, columns: list[str] | None) -> pd.DataFrame:
    return frame if columns is None else frame[[name for name in columns if name in frame.columns]]
