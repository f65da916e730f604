"""Look up features by key that a request lacks, as training joined them: as of the event, and never a later row."""

import logging
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import EverfitError
from everfit.blocks.joins import Join
from everfit.blocks.sources import DeltaSource, FilesSource
from everfit.infra.serving.protocol import RequestTable
from everfit.tasks.data.as_of import AS_OF, BY, SEEN, AsOfRows, key_hashes, row_versions, with_faults, without
from everfit.tasks.models.input_column import InputError, microseconds
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.storage.kinds import Kind, infer_kind
from everfit.tasks.storage.table_schema import read_kinds
from everfit.tasks.storage.values import FAULTS, normalise
from everfit.tasks.storage.workspace import Workspace

logger = logging.getLogger(__name__)

_EVER = datetime(2199, 1, 1, tzinfo=UTC)
_RETRY_S = 5.0

GIVEN, NONE = "given", "none"
"""Versions of a joined row that the request had itself, and of one that doesn't exist."""


class NotReadyError(EverfitError):
    """The service can't predict yet, or any more."""


@dataclass(frozen=True)
class LookupIndex:
    """Rows of a joined source in memory, by key and time.

    Attributes:
        join: The join.
        kinds: Kinds of the key's parts.
        values: The joined columns and `_as_of`; shape (rows, columns).
        keys: Hash of each row's key, in order; shape (rows,).
        as_of: Microseconds since 1970 from which it holds, in order for each key; shape (rows,).
        seen: The same from which it can be seen.
    """

    join: Join
    kinds: Mapping[str, Kind]
    values: pd.DataFrame
    keys: npt.NDArray[np.int64]
    as_of: npt.NDArray[np.int64]
    seen: npt.NDArray[np.int64]

    @classmethod
    def of(cls, rows: AsOfRows) -> "LookupIndex":
        """Make the index of all rows of a joined source."""
        frames = list(rows.frames())
        whole = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
        order = np.argsort(whole[BY].to_numpy(), kind="stable")
        whole = with_faults(whole).take(order).reset_index(drop=True)
        as_of = _micros(whole[AS_OF])
        seen = _micros(whole[SEEN]) if SEEN in whole else as_of
        values = whole[[*rows.join.columns, AS_OF, FAULTS]]
        return cls(rows.join, rows.kinds, values, whole[BY].to_numpy(), as_of, seen)

    def find(self, keys: npt.NDArray[np.int64], at_us: Sequence[int]) -> pd.DataFrame:
        """Return what was known of keys at moments; missing where nothing was.

        Args:
            keys: Hashes of keys; shape (rows,).
            at_us: Moments in microseconds since 1970; shape (rows,).
        """
        found = np.full(len(keys), -1, dtype=np.int64)
        for row, (key, moment) in enumerate(zip(keys.tolist(), at_us, strict=True)):
            start, stop = (int(np.searchsorted(self.keys, key, side)) for side in ("left", "right"))
            place = start + int(np.searchsorted(self.as_of[start:stop], moment, side="right")) - 1
            while place >= start and self.seen[place] > moment:
                place -= 1
            if place >= start:
                found[row] = place
        if not len(self.values):
            return self.values.reindex(pd.RangeIndex(len(keys)))
        joined = self.values.take(np.maximum(found, 0)).reset_index(drop=True)
        missing = found < 0
        if self.join.within is not None:
            oldest = np.asarray(at_us, dtype=np.int64) - round(self.join.within.total_seconds() * 1e6)
            missing |= _micros(joined[AS_OF]) < oldest
        return without(joined, missing)


def _micros(times: pd.Series) -> npt.NDArray[np.int64]:
    return np.asarray(times.dt.as_unit("us").astype("int64"), dtype=np.int64)


class FeatureLookup:
    """Keeps the joined sources of a model in memory, and adds their columns to requests that lack them.

    Args:
        model: Name of the model.
        joins: Its joins.
        workspace: The workspace, which has the kinds of the model's columns; None if there is none.
    """

    def __init__(self, model: str, joins: Sequence[Join], workspace: Workspace | None) -> None:
        self.model, self.joins, self._workspace = model, tuple(joins), workspace
        self._indexes: dict[str, LookupIndex] = {}
        self._content: dict[str, dict[str, str]] = {}
        self._read_at: dict[str, float] = {}
        self._errors: dict[str, str] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"everfit-joins-{model}", daemon=True)

    def start(self) -> None:
        """Read the joined sources now and again, in the background."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()

    def _run(self) -> None:
        due = dict.fromkeys([join.label for join in self.joins], 0.0)
        while not self._stopping.is_set():
            for join in self.joins:
                if due[join.label] <= time.monotonic():
                    self.refresh(join)
                    pause = _RETRY_S if join.label in self._errors else join.refresh.total_seconds()
                    due[join.label] = time.monotonic() + pause
            self._stopping.wait(max(0.05, min(due.values()) - time.monotonic()))

    def refresh(self, join: Join) -> None:
        """Read a joined source, unless it has not changed; if it can't be read, its last rows stay in use."""
        # These import Prefect, which services without joins don't need.
        from everfit.tasks.data.joined_rows import read_join
        from everfit.tasks.sources.arrivals import content_of

        try:
            now = {}
            if isinstance(join.source, FilesSource | DeltaSource) and not (
                isinstance(join.source, DeltaSource) and join.source.version is not None
            ):
                now = content_of(join.source)
            if not now or now != self._content.get(join.label):
                kinds = {} if self._workspace is None else read_kinds(self._workspace, self.model)
                with tempfile.TemporaryDirectory(prefix="everfit-join-") as folder:
                    self._indexes[join.label] = LookupIndex.of(read_join(join, None, _EVER, kinds, Path(folder)))
                self._content[join.label] = now
            self._read_at[join.label] = time.time()
            self._errors.pop(join.label, None)
        except Exception as error:  # noqa: BLE001 - the service goes on with the rows that it has
            known = isinstance(error, EverfitError)
            self._errors[join.label] = str(error) if known else f"join {join.label!r}: {type(error).__name__}"
            logger.warning("%s: %s", self.model, self._errors[join.label])

    def status(self) -> dict[str, Any]:
        """Return the state of each join for `GET /models/{name}`."""
        return {
            join.label: {
                "rows": len(self._indexes[join.label].keys) if join.label in self._indexes else None,
                "read_at": self._read_at.get(join.label),
                "error": self._errors.get(join.label, ""),
            }
            for join in self.joins
        }

    def fill(self, table: RequestTable, inputs: InputSchema, now_us: int) -> tuple[RequestTable, list[str]]:
        """Return the request with the joined columns that it lacks, and the versions of the joined rows.

        Args:
            table: The request.
            inputs: Inputs of the model.
            now_us: Event time of rows without one, in microseconds since 1970.

        Raises:
            NotReadyError: If a joined source has not been read yet.
            InputError: If the key is missing, or a value of it is not of its kind.
        """
        added: dict[str, list[Any]] = {}
        texts = [""] * table.rows
        given = table.columns.get(inputs.event_time) or [None] * table.rows
        at_us = [now_us if one is None else microseconds(one, inputs.event_time, row) for row, one in enumerate(given)]
        for join in self.joins:
            missing = [name for name in join.columns if name not in table.columns]
            versions = [GIVEN] * table.rows
            if missing:
                found = self._found(join, table, at_us)
                added |= {name: _json_values(found[name], inputs) for name in missing}
                versions = [version or NONE for version in row_versions(found, join.columns).tolist()]
            texts = [
                f"{text}; {join.label}: {version}".removeprefix("; ")
                for text, version in zip(texts, versions, strict=True)
            ]
        return (RequestTable({**table.columns, **added}, table.rows) if added else table), texts

    def _found(self, join: Join, table: RequestTable, at_us: Sequence[int]) -> pd.DataFrame:
        index = self._indexes.get(join.label)
        if index is None:
            why = self._errors.get(join.label, "")
            raise NotReadyError(
                f"the rows of join {join.label!r} are not read yet{f': {why}' if why else ''}; send "
                f"{', '.join(join.columns)} with the request, or try again"
            )
        for name in join.on:
            if len(table.columns.get(name, ())) != table.rows:
                raise InputError(
                    name, f"the key by which {', '.join(map(repr, join.columns))} are looked up; the column is missing"
                )
        rows = pd.DataFrame({name: pd.Series(list(table.columns[name]), dtype=object) for name in join.on})
        keys, complete = key_hashes(rows, {name: name for name in join.on}, index.kinds)
        found = index.find(keys, at_us)
        faults = found[FAULTS].fillna("")
        if (faults != "").any():
            row = int(np.flatnonzero(faults != "")[0])
            raise InputError(join.columns[0], f"a joined row without faults; it has {faults.iloc[row]}", None, row)
        return without(found, ~complete.to_numpy())


def _json_values(column: pd.Series, inputs: InputSchema) -> list[Any]:
    """Return values as JSON has them, in the kind that the model was trained with."""
    known = inputs.columns.get(str(column.name))
    kind = infer_kind(column, is_key=False, is_label=False) if known is None else known.value_kind
    brought = normalise(pd.DataFrame({column.name: column}), {str(column.name): kind})[column.name]
    values = [value.isoformat() for value in brought] if kind in {"time", "day"} else brought.tolist()
    if known is not None and known.kind == "boolean":
        values = [value if pd.isna(value) else bool(value) for value in values]
    return [None if missing else value for value, missing in zip(values, brought.isna(), strict=True)]
