"""Bring chunks of a source to the kinds of their columns, and stage them in parts with the identities of their rows."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.spec import ARRIVED, ColumnRoles
from everfit.tasks.core.spread import Spread, in_turn
from everfit.tasks.data.staging import ORIGIN, OWN, PART, Staging
from everfit.tasks.sources import FAULTS, Chunk
from everfit.tasks.sources.chunks import rows_at_once
from everfit.tasks.storage.deleted_keys import DeletedKeys
from everfit.tasks.storage.kinds import REWRITTEN, STORED, Kind, common_kind, infer_kind, kinds_of_spec, plain
from everfit.tasks.storage.row_hashes import row_hashes, row_keys
from everfit.tasks.storage.tables import CONTENT, DAY, KEY, TURN
from everfit.tasks.storage.values import faulty, normalise


@dataclass(frozen=True)
class PartRules:
    """How the rows of a part are brought to their kinds and identified.

    Attributes:
        staging: Files for the parts.
        roles: Roles of the columns.
        known: Kinds of the dataset's columns; empty before the first batch.
        identity: Columns that identify rows without a key; None for all.
        until: End of the turn's window.
        is_classification: Whether the target has classes.
        texts: Columns that are text, whatever their pieces look like.
        deleted: Keys whose rows are left out, because their deletion was requested.
    """

    staging: Staging
    roles: ColumnRoles
    known: dict[str, Kind]
    identity: list[str] | None
    until: datetime
    is_classification: bool
    texts: Collection[str] = ()
    deleted: DeletedKeys | None = None

    def kinds_of(self, frame: pd.DataFrame) -> dict[str, Kind]:
        """Return the kinds of a piece's columns."""
        decided = kinds_of_spec(self.roles.any_spelling, self.roles.numbers)
        return {name: self._kind(name, frame[name], decided) for name in frame.columns if name != FAULTS}

    def _kind(self, name: str, column: pd.Series, decided: dict[str, Kind]) -> Kind:
        if name in self.known:
            return self.known[name]
        if name in decided:
            return decided[name]
        if name in self.texts:
            return "text"
        is_label = name == self.roles.target and self.is_classification
        kind = infer_kind(column, is_key=name in self.roles.key, is_label=is_label)
        # A time column without a value is one all the same: its rows have days, and go to quarantine.
        is_time = name in {self.roles.event_time, self.roles.label_time}
        return "time" if is_time and kind == "empty" else kind

    def write(self, number: int, frame: pd.DataFrame, parts: npt.NDArray[np.int32], origins: list[str]) -> int:
        """Write a part with the identities of its rows, and return how many it has."""
        import pyarrow as pa

        values = frame.drop(columns=FAULTS)
        keys = row_keys(values if self.roles.key else _only(values, self.identity), self.roles.key)
        if self.deleted is not None and (gone := self.deleted.among_rows(values, keys)).any():
            frame, values = (each[~gone].reset_index(drop=True) for each in (frame, values))
            keys, parts = keys[~gone], parts[~gone]
        contents = row_hashes(values, list(values.columns))
        if (blank := faulty(frame) & values.isna().all(axis=1).to_numpy()).any():
            # Only their reasons tell lines apart that could not be read.
            keys[blank] = contents[blank] = row_hashes(frame[blank].rename(columns={FAULTS: "reason"}), ["reason"])
        own: dict[str, Any] = {
            KEY: keys,
            CONTENT: contents,
            DAY: pa.array(self._days(values), pa.int32()).cast(pa.date32()),
            TURN: pa.DictionaryArray.from_arrays(np.zeros(len(frame), dtype=np.int32), [self.staging.turn_id]),
            ORIGIN: pa.DictionaryArray.from_arrays(parts, pa.array(origins)),
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
        return len(frame)

    def _days(self, frame: pd.DataFrame) -> npt.NDArray[np.int32]:
        """Return each row's day in days since 1970; without an event time it is the day of the window's end."""
        today = np.datetime64(self.until.date(), "D").astype(np.int32)
        if self.roles.event_time is None:
            return np.full(len(frame), today, dtype=np.int32)
        times = frame[self.roles.event_time].dt.tz_convert(None).to_numpy()
        days = times.astype("datetime64[D]").astype(np.int64)
        return np.where(np.isnat(times), today, days).astype(np.int32)


@dataclass(frozen=True)
class _RawPart:
    """Pieces that become a part: their frames, the number of each row's origin, and all origins so far."""

    number: int
    frames: list[pd.DataFrame]
    parts: npt.NDArray[np.int32]
    origins: list[str]


@dataclass(frozen=True)
class _StagedPart:
    """A part that was written: the kinds of each piece, those of the whole, and its number of rows."""

    seen: list[dict[str, Kind]]
    kinds: dict[str, Kind]
    size: int


def _stage_part(rules: PartRules, raw: _RawPart) -> _StagedPart:
    # Each piece shows its own kinds: in one frame, numbers beside texts would all be texts.
    seen = [rules.kinds_of(frame) for frame in raw.frames]
    names = list(dict.fromkeys(name for kinds in seen for name in kinds))
    kinds = {name: _of_part([kinds[name] for kinds in seen if name in kinds]) for name in names}
    brought = [normalise(frame, kinds) for frame in raw.frames]
    whole = pd.concat(brought, ignore_index=True) if len(brought) > 1 else brought[0]
    return _StagedPart(seen, kinds, rules.write(raw.number, whole, raw.parts, raw.origins))


class Stager:
    """Gathers chunks of a source into parts of equal types, with the identities of their rows.

    Args:
        rules: How the rows are brought to their kinds and identified.
    """

    def __init__(self, rules: PartRules) -> None:
        self.rules = rules
        self.sizes: list[int] = []
        self.left_out = 0
        self.origins: list[str] = []
        self.ignored: set[str] = set()
        self.missing: dict[str, str] = {}
        self.kinds: dict[str, Kind] = {}
        self.rewritten: set[str] = set()
        self._seen: list[dict[str, Kind]] = []
        self._kinds: list[dict[str, Kind]] = []

    def stage(self, chunks: Iterable[Chunk], spread: Spread = in_turn) -> None:
        """Stage chunks, and give all parts types that fit every one of them.

        Args:
            chunks: The rows of the source.
            spread: Where parts are brought to their kinds and written.
        """
        read: list[int] = []
        for part in spread(_stage_part, self.rules, self._gathered(chunks, read)):
            self._seen += part.seen
            self._kinds.append(part.kinds)
            self.sizes.append(part.size)
        self._agree()
        self.left_out = sum(read) - sum(self.sizes)

    def _gathered(self, chunks: Iterable[Chunk], read: list[int]) -> Iterator[_RawPart]:
        """Yield pieces that are worked on together, and note how many rows each has."""
        held: list[tuple[int, pd.DataFrame]] = []
        for chunk in chunks:
            frame = self._expected_columns(chunk)
            held.append((len(self.origins) - 1, frame))
            if sum(len(piece) for _, piece in held) >= rows_at_once(len(frame.columns)):
                yield self._raw(held, read)
                held = []
        if held:
            yield self._raw(held, read)

    def _raw(self, held: list[tuple[int, pd.DataFrame]], read: list[int]) -> _RawPart:
        frames = [frame for _, frame in held]
        parts = np.repeat([origin for origin, _ in held], [len(frame) for frame in frames]).astype(np.int32)
        read.append(len(parts))
        return _RawPart(len(read) - 1, frames, parts, list(self.origins))

    def _expected_columns(self, chunk: Chunk) -> pd.DataFrame:
        if not self.origins or self.origins[-1] != chunk.origin:
            self.origins.append(chunk.origin)
        own = [name for name in chunk.frame.columns if str(name).startswith("_") and name != FAULTS]
        frame = chunk.frame.drop(columns=own) if own else chunk.frame
        if not self.rules.known:
            return frame
        expected = list(dict.fromkeys([*self.rules.known, *self.rules.roles.named()]))
        unknown = [name for name in frame.columns if name not in expected and name != FAULTS]
        self.ignored.update(unknown)
        for name in expected:
            if name not in frame.columns and name not in self.rules.roles.ignore:
                self.missing.setdefault(name, chunk.origin)
        return frame.drop(columns=unknown)

    def _agree(self) -> None:
        """Determine the kinds of the columns, and rewrite parts that have other types."""
        known, roles = self.rules.known, self.rules.roles
        names = list(dict.fromkeys(name for kinds in self._kinds for name in kinds))
        seen = {name: [kinds[name] for kinds in self._seen if name in kinds] for name in names}
        final = {name: common_kind(kinds) for name, kinds in seen.items()}
        self.rewritten = {name for name, kind in final.items() if kind == "text" and REWRITTEN.intersection(seen[name])}
        if not known:  # an empty column doesn't show its type yet
            empty = {name for name, kind in final.items() if kind == "empty" and name not in roles.named()}
            self.ignored |= empty
            final = {name: kind for name, kind in final.items() if name not in empty}
        final |= {name: kind for name, kind in known.items() if name not in final}
        held = {name: STORED[plain(kind)] for name, kind in final.items()}
        staging = self.rules.staging
        for number, kinds in enumerate(self._kinds):
            if {name: STORED[plain(kind)] for name, kind in kinds.items()} != held:
                table = staging.read_part(number)
                frame = table.drop_columns([name for name in OWN if name in table.column_names and name != FAULTS])
                brought = normalise(frame.to_pandas(), final)
                self.sizes[number] = self.rules.write(number, brought, table[PART].to_numpy(), self.origins)
        self.kinds = final


def _of_part(kinds: list[Kind]) -> Kind:
    """Return the kind of a part; texts of numbers stay texts until all pieces are known."""
    kind = common_kind(kinds)
    return kind if kind != "text" or "text" in kinds or {*kinds} - {"digits", "numeral", "empty"} else kinds[0]


def _only(frame: pd.DataFrame, columns: list[str] | None) -> pd.DataFrame:
    return frame if columns is None else frame[[name for name in columns if name in frame.columns]]
