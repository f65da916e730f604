"""Ingest the new rows of a source's window, exactly once.

The rows stay in staging files of the turn until validation has checked them; only `commit_batch` appends them. So the
dataset never holds unchecked rows, and a turn that was killed can be run again.
"""

import json
from collections.abc import Mapping
from datetime import datetime

from everfit.blocks.errors import DataError, SpecError
from everfit.blocks.sources import FilesSource
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Window
from everfit.tasks.core.spread import Spread, in_turn
from everfit.tasks.data.joined_batch import join_batch
from everfit.tasks.data.manual_labels import with_manual_labels
from everfit.tasks.data.staged_batch import Batch, newest_version, stage
from everfit.tasks.data.staging import Staging
from everfit.tasks.sources import FileState, FileStates, read_source
from everfit.tasks.storage.kinds import Kind, is_read_as_text, kinds_of_spec
from everfit.tasks.storage.table_schema import read_kinds
from everfit.tasks.storage.tables import Table
from everfit.tasks.storage.workspace import Workspace


def ingest(spec: ModelSpec, until: datetime, turn_id: str, workspace: Workspace, *, spread: Spread = in_turn) -> Batch:
    """Stage the rows of the source that the dataset doesn't have yet.

    Args:
        spec: Spec of the model.
        until: End of event time; later rows are not read.
        turn_id: Turn that ingests; the same turn ingests the same rows again.
        workspace: Workspace of the dataset.
        spread: Where the chunks of the source are brought to their kinds and staged.

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
        batch = _staged(spec, window, staging, version, spread)
        if spec.joins and batch.sizes:
            batch = join_batch(spec, batch, workspace)
    if not batch.read and version < 0:
        raise DataError(
            f"{spec.name}: the source has no row before {until:%Y-%m-%d %H:%M}; check source.path and until"
            if isinstance(spec.source, FilesSource)
            else f"{spec.name}: the source has no row before {until:%Y-%m-%d %H:%M}; check source and until"
        )
    workspace.write(record, batch.canonical_json().encode())
    return batch


def _staged(spec: ModelSpec, window: Window, staging: Staging, version: int, spread: Spread) -> Batch:
    known = read_kinds(staging.workspace, spec.name)
    _check_spellings(spec, known)
    decided = kinds_of_spec(spec.columns.any_spelling, spec.columns.numbers)
    texts = {name for name, kind in (known | decided).items() if is_read_as_text(kind)}
    while True:
        states = FileStates(earlier=read_file_states(spec, staging.workspace) if version >= 0 else {})
        chunks = read_source(spec.source, spec.own_columns, window, states, strict=version < 0, texts=texts)
        chunks = with_manual_labels(chunks, spec, staging.workspace, window.until)
        batch, rewritten = stage(spec, window, staging, version, chunks, texts=texts, joined=False, spread=spread)
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


def _ingest_window(spec: ModelSpec, until: datetime, dataset: Table | None) -> Window | None:
    """Return the window from a look-back before the newest row, or None if all rows before `until` are old."""
    newest = dataset.newest(spec.columns.event_time) if dataset and spec.columns.event_time else None
    if newest is None:
        return Window(until=until)
    since = newest - spec.source.lookback
    return Window(since=since, until=until) if since < until else None


def file_states_path(spec: ModelSpec, workspace: Workspace) -> str:
    """Return the path of the record of files that have been read."""
    return workspace.file(spec.name, "files.json")


def read_file_states(spec: ModelSpec, workspace: Workspace) -> dict[str, FileState]:
    """Return the files whose rows were committed."""
    path = file_states_path(spec, workspace)
    if not workspace.exists(path):
        return {}
    return {name: FileState.model_validate(state) for name, state in json.loads(workspace.read(path)).items()}
