"""Ingest the new rows of a source's window, exactly once.

The rows stay in staging files of the turn until validation has checked them; only `commit_batch` appends them. So the
dataset never holds unchecked rows, and a turn that was killed can be run again.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from everfit.blocks.errors import DataError, SpecError
from everfit.blocks.joins import joined_columns
from everfit.blocks.sources import FilesSource
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Record, Window
from everfit.tasks.data.deduplication import CHANGED, CONFLICT, DUPLICATE, MatchedRows, deduplicator
from everfit.tasks.data.key_ranges import key_ranges
from everfit.tasks.data.manual_labels import with_manual_labels
from everfit.tasks.data.quarantine import open_identities
from everfit.tasks.data.staging import PART, Stager, Staging
from everfit.tasks.sources import Chunk, FileState, FileStates, read_source
from everfit.tasks.storage.deleted_keys import read_deleted_keys
from everfit.tasks.storage.kinds import NAMES, Kind, is_read_as_text, kinds_of_spec, plain
from everfit.tasks.storage.periods import Period, first_day
from everfit.tasks.storage.table_schema import read_kinds
from everfit.tasks.storage.tables import CONTENT, DAY, KEY, Table
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pds


class Batch(Record):
    """Rows that a turn has read, counted by status.

    Always `read == new + changed + duplicates`; some of the new and changed rows may be bad.
    """

    turn_id: str
    window: Window
    read: int
    new: int = Field(description="Rows whose key the dataset doesn't have.")
    changed: int = Field(description="Rows whose key is in the dataset with other content, such as a new label.")
    duplicates: int = Field(description="Rows that are in the dataset, in quarantine or earlier in the batch.")
    conflicts: int = Field(default=0, description="New or changed rows whose key the batch has with other content.")
    sizes: tuple[int, ...] = Field(default=(), description="Number of rows in each staged part.")
    dataset_version: int = Field(default=-1, description="Dataset version that they were compared with; -1 for none.")
    quarantine_version: int = Field(default=-1, description="Quarantine version that they were compared with.")
    from_quarantine: bool = Field(
        default=False, description="Whether these are rows of the quarantine that are checked again."
    )
    kinds: dict[str, Kind] = Field(default_factory=dict, description="Kind of each column; see `storage.kinds`.")
    missing_columns: dict[str, str] = Field(default_factory=dict, description="Missing columns with their types.")
    notes: tuple[str, ...] = Field(default=(), description="Remarks on the source for people.")
    round: int = Field(default=0, description="Number of times that functions of the user have changed the rows.")
    changed_by: tuple[str, ...] = Field(default=(), description="Names of these functions.")

    @property
    def fresh(self) -> int:
        """Return the number of rows to check."""
        return self.new + self.changed


def ingest(spec: ModelSpec, until: datetime, turn_id: str, workspace: Workspace) -> Batch:
    """Stage the rows of the source that the dataset doesn't have yet.

    Args:
        spec: Spec of the model.
        until: End of event time; later rows are not read.
        turn_id: Turn that ingests; the same turn ingests the same rows again.
        workspace: Workspace of the dataset.

    Returns:
        The staged batch.

    Raises:
        SourceError: If the source can't be read or lacks a column.
        DataError: If the source has no row before `until`.
        SpecError: If `columns.any_spelling` or `columns.numbers` names a column that the dataset holds otherwise.
    """
    staging = Staging(workspace, spec.name, turn_id)
    record = staging.path("batch.json")
    if workspace.exists(record):  # a turn that is run again continues with the rows of its first run
        return Batch.model_validate_json(workspace.read(record))
    dataset = workspace.table(spec.name, "dataset")
    version = newest_version(dataset)
    window = _ingest_window(spec, until, dataset if version >= 0 else None)
    batch = Batch(turn_id=turn_id, window=Window(until=until), read=0, new=0, changed=0, duplicates=0)
    if window is not None:
        batch = _staged(spec, window, staging, version)
        if spec.joins and batch.sizes:
            from everfit.tasks.data.joined_batch import join_batch  # it stages by this module

            batch = join_batch(spec, batch, workspace)
    if not batch.read and version < 0:
        raise DataError(
            f"{spec.name}: the source has no row before {until:%Y-%m-%d %H:%M}; check source.path and until"
            if isinstance(spec.source, FilesSource)
            else f"{spec.name}: the source has no row before {until:%Y-%m-%d %H:%M}; check source and until"
        )
    workspace.write(record, batch.canonical_json().encode())
    return batch


def _staged(spec: ModelSpec, window: Window, staging: Staging, version: int) -> Batch:
    known = read_kinds(staging.workspace, spec.name)
    _check_spellings(spec, known)
    decided = kinds_of_spec(spec.columns.any_spelling, spec.columns.numbers)
    texts = {name for name, kind in (known | decided).items() if is_read_as_text(kind)}
    while True:
        states = FileStates(earlier=read_file_states(spec, staging.workspace) if version >= 0 else {})
        chunks = read_source(spec.source, spec.own_columns, window, states, strict=version < 0, texts=texts)
        chunks = with_manual_labels(chunks, spec, staging.workspace, window.until)
        batch, rewritten = stage(spec, window, staging, version, chunks, texts=texts, joined=False)
        if rewritten <= texts:
            break
        # Some pieces alone look like numbers or times. Read them again as the text that they are.
        texts |= rewritten
    left_out = (f"column {name!r} is left out: {why}" for name, why in sorted(states.left_out.items()))
    batch = batch.model_copy(update={"notes": (*batch.notes, *left_out, *states.remarks())})
    current = {path: state.model_dump(mode="json") for path, state in states.current.items()}
    staging.workspace.write(staging.path("files.json"), json.dumps(current).encode())
    return batch


def _check_spellings(spec: ModelSpec, known: Mapping[str, Kind]) -> None:
    """Refuse another meaning of a column than the dataset has, because keys and rows could then differ.

    Raises:
        SpecError: If `columns.any_spelling` or `columns.numbers` gives a column another one.
    """
    for name, kind in kinds_of_spec((), spec.columns.numbers).items():
        if name in known and known[name] != kind:
            raise SpecError(
                f"{spec.name}: columns.numbers.{name} says how its numbers are written, but the dataset holds them in "
                "another way; the meaning of a column is decided by the first batch. Restore it there, or give the "
                "model another name"
            )
    if held := [name for name in spec.columns.any_spelling if known.get(name, "folded") != "folded"]:
        raise SpecError(
            f"{spec.name}: columns.any_spelling names {held[0]!r}, which the dataset holds as it was written; the "
            "meaning of a column is decided by the first batch. Remove it there, or give the model another name"
        )


def stage(
    spec: ModelSpec,
    window: Window,
    staging: Staging,
    version: int,
    chunks: Iterable[Chunk],
    *,
    aside: bool = True,
    texts: Collection[str] = (),
    joined: bool = True,
) -> tuple[Batch, set[str]]:
    """Stage chunks, and determine the status of their rows.

    Args:
        spec: Spec of the model.
        window: Span of event time that was requested.
        staging: Staging files of the turn.
        version: Dataset version to compare the rows with; -1 for none.
        chunks: The rows.
        aside: Whether rows in quarantine count as duplicates.
        texts: Columns of CSV that are text, whatever they look like in a file.
        joined: Whether the rows have the columns that joins add.

    Returns:
        The staged batch, and the columns whose values were rewritten as text.
    """
    dataset = staging.workspace.table(spec.name, "dataset")
    known = read_kinds(staging.workspace, spec.name) if version >= 0 else {}
    if not joined:
        known = {name: kind for name, kind in known.items() if name not in joined_columns(spec.joins)}
    stager = Stager(
        staging,
        spec.joined_columns if joined else spec.own_columns,
        known,
        _identity(dataset) if version >= 0 and not spec.columns.key else None,
        window.until,
        is_classification=spec.task != "regression",
        texts=texts,
        deleted=read_deleted_keys(staging.workspace, spec.name),
    )
    for chunk in chunks:
        stager.add(chunk)
    stager.finish()
    sizes = tuple(stager.sizes)
    quarantine_version = newest_version(staging.workspace.table(spec.name, "quarantine"))
    matched = match_rows(spec, staging, sizes, version, aside=aside)
    staging.write_matched(matched)
    batch = counted(
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
            kinds=stager.kinds,
            missing_columns={name: NAMES[plain(known.get(name, "text"))] for name in sorted(stager.missing)},
            notes=tuple(_notes(stager)),
        ),
        matched,
    )
    return batch, stager.rewritten


def newest_version(table: Table) -> int:
    """Return the newest version of a table, or -1 if it doesn't exist."""
    return table.version() if table.exists() else -1


def counted(batch: Batch, matched: MatchedRows) -> Batch:
    """Return the batch with its rows counted by status; a conflicting row counts as new."""
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
            yield f"column {name!r} is empty, so it is ignored"
    if stager.left_out:
        yield f"{stager.left_out:,} rows are left out, because the deletion of their key was requested"
    for name, origin in sorted(stager.missing.items()):
        yield f"column {name!r} is missing from {origin}"


def _identity(dataset: Table) -> list[str]:
    """Return the columns that identify rows without a key: those of the first batch, for all batches."""
    return [name for name in dataset.columns(version=0) if not name.startswith("_")]


def _ingest_window(spec: ModelSpec, until: datetime, dataset: Table | None) -> Window | None:
    """Return the window from a look-back before the newest row, or None if all rows before `until` are old."""
    newest = dataset.newest(spec.columns.event_time) if dataset and spec.columns.event_time else None
    if newest is None:
        return Window(until=until)
    since = newest - spec.source.lookback
    return Window(since=since, until=until) if since < until else None


def match_rows(
    spec: ModelSpec, staging: Staging, sizes: tuple[int, ...], version: int, *, aside: bool = True
) -> MatchedRows:
    """Compare the staged rows with the dataset at a version and with the quarantine."""
    dataset = staging.workspace.table(spec.name, "dataset")
    with deduplicator(sum(sizes)) as matcher:
        days: list[int] = []
        for number in range(len(sizes)):
            part = staging.read_part(number, [KEY, CONTENT, DAY, PART])
            matcher.stage(_ints(part, KEY), _ints(part, CONTENT), part[PART].to_numpy())
            day = _days(part)
            days += [int(day.min()), int(day.max())] if len(day) else []
        if version >= 0 and days:
            ranges = key_ranges(staging, len(sizes), spec.columns.key)
            for rows in dataset.arrow_batches(
                [KEY, CONTENT, DAY], _known(spec, days, dataset.period(version)), version, ranges
            ):
                matcher.add_existing(_ints(rows, KEY), _ints(rows, CONTENT), _days(rows))
        for keys, contents, refused in open_identities(spec.name, staging.workspace) if aside else ():
            matcher.add_quarantined(keys, contents, refused)
        return matcher.match()


def _known(spec: ModelSpec, days: list[int], period: Period) -> "pds.Expression | None":
    """Return a filter on the partitions of a time key that the batch has, or None without a time in the key."""
    import pyarrow.dataset as pds

    key, event_time = spec.columns.key, spec.columns.event_time
    if event_time is None or (key and event_time not in key):
        return None
    first, last = (date(1970, 1, 1) + timedelta(days=day) for day in (min(days), max(days)))
    return (pds.field(DAY) >= first_day(first, period)) & (pds.field(DAY) <= last)


def _ints(rows: "pa.Table | pa.RecordBatch", name: str) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    return np.asarray(rows[name].to_numpy(zero_copy_only=False), dtype=np.int64)


def _days(rows: "pa.Table | pa.RecordBatch") -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
    import pyarrow as pa

    return np.asarray(rows[DAY].cast(pa.int32()).to_numpy(zero_copy_only=False), dtype=np.int32)


def file_states_path(spec: ModelSpec, workspace: Workspace) -> str:
    """Return the path of the record of files that have been read."""
    return workspace.file(spec.name, "files.json")


def read_file_states(spec: ModelSpec, workspace: Workspace) -> dict[str, FileState]:
    """Return the files whose rows were committed."""
    path = file_states_path(spec, workspace)
    if not workspace.exists(path):
        return {}
    return {name: FileState.model_validate(state) for name, state in json.loads(workspace.read(path)).items()}
