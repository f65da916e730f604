"""Ingest: take what is new in a window of the source, exactly once.

What is taken is in staging files of the turn until validation has told good rows from bad; only then does
`accept` append it. So nothing unchecked is ever in the dataset, and a turn that died can be run again.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from everfit.blocks.errors import DataError
from everfit.blocks.sources import FilesSource
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Record, Window
from everfit.tasks.data.deduplication import CHANGED, CONFLICT, DUPLICATE, MatchedRows, matcher
from everfit.tasks.data.manual_labels import with_hand_labels
from everfit.tasks.data.normalise import kind_of_arrow
from everfit.tasks.data.quarantine import open_identities
from everfit.tasks.data.staging import PART, Stager, Staging
from everfit.tasks.sources import Chunk, FileState, FileStates, read_source
from everfit.tasks.storage.tables import CONTENT, DAY, KEY, Table
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pds


class Batch(Record):
    """Rows that a turn has read, and what they were found to be.

    Always `read == new + changed + duplicates`; of the new and changed ones some may yet be bad.
    """

    turn_id: str
    window: Window
    read: int
    new: int = Field(description="Rows whose key the dataset doesn't have.")
    changed: int = Field(description="Rows whose key is in the dataset with other content: a label that came.")
    duplicates: int = Field(description="Rows that are in the dataset or in quarantine already, or twice in the batch.")
    conflicts: int = Field(default=0, description="Rows, new or changed, whose key another row of the batch has too.")
    sizes: tuple[int, ...] = Field(default=(), description="Rows in each of the staged parts.")
    dataset_version: int = Field(default=-1, description="Version of the dataset they were matched with; -1 for none.")
    quarantine_version: int = Field(default=-1, description="Version of the quarantine they were matched with.")
    from_quarantine: bool = Field(
        default=False, description="Whether these rows are in quarantine, and are to leave it."
    )
    round: int = Field(default=0, description="How often the rows were changed by functions of the user's own.")
    missing_columns: dict[str, str] = Field(default_factory=dict, description="Type that each had, by name.")
    notes: tuple[str, ...] = Field(default=(), description="What a person may want to know of the source.")

    @property
    def fresh(self) -> int:
        """How many rows are to be checked."""
        return self.new + self.changed


def ingest(spec: ModelSpec, until: datetime, turn_id: str, workspace: Workspace) -> Batch:
    """Stage the rows of the source that the dataset doesn't have yet.

    Raises:
        SourceError: the source can't be read or lacks a column.
        DataError: there is not one row before `until`.
    """
    staging = Staging(workspace, spec.name, turn_id)
    record = staging.path("batch.json")
    if workspace.exists(record):  # a turn that is run again goes on with what it took then
        return Batch.model_validate_json(workspace.read(record))
    dataset = workspace.table(spec.name, "dataset")
    version = newest_version(dataset)
    window = _ingest_window(spec, until, dataset if version >= 0 else None)
    batch = Batch(turn_id=turn_id, window=Window(until=until), read=0, new=0, changed=0, duplicates=0)
    if window is not None:
        batch = _staged(spec, window, staging, version)
    if not batch.read and version < 0:
        raise DataError(
            f"{spec.name}: the source has no row before {until:%Y-%m-%d %H:%M}; check source.path and until"
            if isinstance(spec.source, FilesSource)
            else f"{spec.name}: the source has no row before {until:%Y-%m-%d %H:%M}; check source and until"
        )
    workspace.write(record, batch.canonical_json().encode())
    return batch


def _staged(spec: ModelSpec, window: Window, staging: Staging, version: int) -> Batch:
    states = FileStates(earlier=read_marks(spec, staging.workspace) if version >= 0 else {})
    pieces = read_source(spec.source, spec.columns, window, states, strict=version < 0)
    pieces = with_hand_labels(pieces, spec, staging.workspace, window.until)
    batch = stage(spec, window, staging, version, pieces)
    found = {path: state.model_dump(mode="json") for path, state in states.current.items()}
    staging.workspace.write(staging.path("files.json"), json.dumps(found).encode())
    return batch


def stage(
    spec: ModelSpec,
    window: Window,
    staging: Staging,
    version: int,
    pieces: Iterable[Chunk],
    *,
    aside: bool = True,
) -> Batch:
    """Stage pieces, and tell what their rows are.

    Args:
        spec: The model's spec.
        window: The request.
        staging: Where the rows go.
        version: Of the dataset, to match them with; -1 for none.
        pieces: The rows.
        aside: Whether rows that are in quarantine are known already.
    """
    dataset = staging.workspace.table(spec.name, "dataset")
    known = dataset.columns() if version >= 0 else {}
    stager = Stager(
        staging,
        spec.columns,
        known,
        _identity(dataset) if version >= 0 and not spec.columns.key else None,
        window.until,
        is_classification=spec.task != "regression",
    )
    for piece in pieces:
        stager.add(piece)
    stager.finish()
    sizes = tuple(stager.sizes)
    quarantine_version = newest_version(staging.workspace.table(spec.name, "quarantine"))
    matched = match(spec, staging, sizes, version, aside=aside)
    staging.write_matched(matched)
    return counted(
        Batch(
            turn_id=staging.turn_id,
            window=window,
            read=sum(sizes),
            new=0,
            changed=0,
            duplicates=0,
            sizes=sizes,
            dataset_version=version,
            quarantine_version=quarantine_version,
            from_quarantine=not aside,
            missing_columns={name: kind_of_arrow(known.get(name, "")) for name in sorted(stager.missing)},
            notes=tuple(_notes(stager)),
        ),
        matched,
    )


def newest_version(table: Table) -> int:
    """The newest version of a table; -1 when it is not there."""
    return table.version() if table.exists() else -1


def counted(batch: Batch, matched: MatchedRows) -> Batch:
    """The batch with its rows counted by what they were found to be; a conflicting row counts as new."""
    changed, duplicates = (int((matched.status == status).sum()) for status in (CHANGED, DUPLICATE))
    return batch.model_copy(
        update={
            "new": batch.read - changed - duplicates,
            "changed": changed,
            "duplicates": duplicates,
            "conflicts": int((matched.status == CONFLICT).sum()),
        }
    )


def _notes(stager: Stager) -> Iterator[str]:
    for name in sorted(stager.ignored):
        if stager.known:
            yield f"new column {name!r} is ignored until columns.features names it"
        else:
            yield f"column {name!r} is empty, so it is left out"
    for name, origin in sorted(stager.missing.items()):
        yield f"column {name!r} is missing from {origin}"


def _identity(dataset: Table) -> list[str]:
    """The columns that tell rows without a key apart: those of the first batch, for ever."""
    return [name for name in dataset.columns(version=0) if not name.startswith("_")]


def _ingest_window(spec: ModelSpec, until: datetime, dataset: Table | None) -> Window | None:
    """From a look-back before the newest row taken; None when all before `until` was taken long ago."""
    newest = dataset.newest(spec.columns.event_time) if dataset and spec.columns.event_time else None
    if newest is None:
        return Window(until=until)
    since = newest - spec.source.lookback
    return Window(since=since, until=until) if since < until else None


def match(
    spec: ModelSpec, staging: Staging, sizes: tuple[int, ...], version: int, *, aside: bool = True
) -> MatchedRows:
    """Tell what the staged rows are, given the dataset at a version and the quarantine."""
    dataset = staging.workspace.table(spec.name, "dataset")
    with matcher(sum(sizes)) as found:
        days: list[int] = []
        for number in range(len(sizes)):
            part = staging.read_part(number, [KEY, CONTENT, DAY, PART])
            found.stage(_ints(part, KEY), _ints(part, CONTENT), part[PART].to_numpy())
            day = _days(part)
            days += [int(day.min()), int(day.max())]
        if version >= 0 and days:
            for rows in dataset.arrow_batches([KEY, CONTENT, DAY], _known(spec, days), version):
                found.know(_ints(rows, KEY), _ints(rows, CONTENT), _days(rows))
        for keys, contents, refused in open_identities(spec.name, staging.workspace) if aside else ():
            found.quarantined(keys, contents, refused)
        return found.match()


def _known(spec: ModelSpec, days: list[int]) -> "pds.Expression | None":
    """Which rows may have the batch's keys: where the key holds the time, only those of its days; None for all."""
    import pyarrow as pa
    import pyarrow.dataset as pds

    key, event_time = spec.columns.key, spec.columns.event_time
    if event_time is None or (key and event_time not in key):
        return None
    first, last = (pa.scalar(day, pa.int32()).cast(pa.date32()) for day in (min(days), max(days)))
    return (pds.field(DAY) >= first) & (pds.field(DAY) <= last)


def _ints(rows: "pa.Table | pa.RecordBatch", name: str) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return np.asarray(rows[name].to_numpy(zero_copy_only=False), dtype=np.int64)


def _days(rows: "pa.Table | pa.RecordBatch") -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
    import pyarrow as pa

    return np.asarray(rows[DAY].cast(pa.int32()).to_numpy(zero_copy_only=False), dtype=np.int32)


def marks_path(spec: ModelSpec, workspace: Workspace) -> str:
    """Where it is kept which files of the source have been read."""
    return workspace.file(spec.name, "files.json")


def read_marks(spec: ModelSpec, workspace: Workspace) -> dict[str, FileState]:
    """The files whose rows were accepted."""
    path = marks_path(spec, workspace)
    if not workspace.exists(path):
        return {}
    return {name: FileState.model_validate(mark) for name, mark in json.loads(workspace.read(path)).items()}
