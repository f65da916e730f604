"""Change rows by a function of the user's own, before they are validated or scored."""

from collections.abc import Callable, Iterator

import pandas as pd

from everfit.blocks.errors import DataError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.data.staged_batch import Batch, stage
from everfit.tasks.data.staging import ORIGIN, OWN, PART, Staging
from everfit.tasks.sources import FAULTS, Chunk
from everfit.tasks.storage.kinds import STORED, plain
from everfit.tasks.storage.table_schema import read_kinds
from everfit.tasks.storage.values import bring_known
from everfit.tasks.storage.workspace import Workspace

Function = Callable[[pd.DataFrame], pd.DataFrame]


def transform(spec: ModelSpec, batch: Batch, function: Function, workspace: Workspace) -> Batch:
    """Return the batch of the changed rows; the rows as they were read stay staged beside them.

    A turn that is run again gets the batch that it made before.

    Args:
        spec: The model's spec.
        batch: The rows as they are staged.
        function: Takes a data frame of shape (rows, columns), and returns one with the same index.
        workspace: Where the rows are staged.

    Raises:
        DataError: The function changed the number of rows or lost a column of the spec.
    """
    if not batch.sizes:
        return batch
    record = Staging(workspace, spec.name, batch.turn_id, batch.round + 1).path("batch.json")
    if workspace.exists(record):
        return Batch.model_validate_json(workspace.read(record))
    name = function_name(function)
    changed = restaged(spec, batch, lambda rows: _with_faults(spec, rows, function), workspace)
    changed = changed.model_copy(
        update={
            "notes": (*batch.notes, *changed.notes, f"the rows were changed by {name}"),
            "changed_by": (*batch.changed_by, name),
        }
    )
    workspace.write(record, changed.canonical_json().encode())
    return changed


def restaged(spec: ModelSpec, batch: Batch, change: Function, workspace: Workspace) -> Batch:
    """Stage the changed rows of a batch as its next round; the rows as they were read stay staged beside them.

    Args:
        spec: The model's spec.
        batch: The rows as they are staged.
        change: Takes the rows and `_faults`, and returns them changed, each in its place.
        workspace: Where the rows are staged.

    Returns:
        The batch, with the notes of this round alone.
    """
    before = Staging(workspace, spec.name, batch.turn_id, batch.round)
    after = Staging(workspace, spec.name, batch.turn_id, batch.round + 1)
    chunks = _changed(before, len(batch.sizes), change)
    changed, _ = stage(spec, batch.window, after, batch.dataset_version, chunks, aside=not batch.from_quarantine)
    # Staged values have lost what the source showed of their kinds, such as booleans. A column keeps its kind as long
    # as it is stored in the same way.
    kept = {
        name: kind
        for name, kind in batch.kinds.items()
        if STORED[plain(kind)] == STORED[plain(changed.kinds.get(name, "empty"))]
    }
    workspace.write(after.path("files.json"), workspace.read(before.path("files.json")))
    return changed.model_copy(
        update={"round": after.round, "kinds": {**changed.kinds, **kept}, "changed_by": batch.changed_by}
    )


def _changed(staging: Staging, parts: int, change: Function) -> Iterator[Chunk]:
    for number in range(parts):
        table = staging.read_part(number)
        origins, places = table[ORIGIN].to_pylist(), table[PART].to_numpy()
        rows = table.drop_columns([name for name in OWN if name in table.column_names and name != FAULTS]).to_pandas()
        changed = change(rows)
        for place in dict.fromkeys(places.tolist()):
            own = places == place
            yield Chunk(str(origins[int(own.argmax())]), changed[own].reset_index(drop=True))


def transform_chunks(
    spec: ModelSpec, chunks: Iterator[pd.DataFrame], function: Function, workspace: Workspace
) -> Iterator[pd.DataFrame]:
    """Yield chunks of a source as the function changes them; it gets values of the same kinds as before training.

    Args:
        spec: The model's spec.
        chunks: Rows of the source, indexed from 0.
        function: As for `transform`.
        workspace: Where the kinds of the dataset's columns are.

    Raises:
        DataError: The function changed the number of rows or lost a column of the spec.
    """
    kinds = read_kinds(workspace, spec.name)
    for chunk in chunks:
        brought = bring_known(chunk, kinds)
        changed = apply_function(spec, brought.drop(columns=FAULTS), function)
        changed[FAULTS] = brought[FAULTS]
        yield changed


def _with_faults(spec: ModelSpec, rows: pd.DataFrame, function: Function) -> pd.DataFrame:
    changed = apply_function(spec, rows.drop(columns=FAULTS), function)
    changed[FAULTS] = rows[FAULTS]
    return changed


def function_name(function: Function) -> str:
    """Return the name by which people know a function."""
    return str(getattr(function, "__name__", None) or type(function).__name__)


def apply_function(spec: ModelSpec, rows: pd.DataFrame, function: Function) -> pd.DataFrame:
    """Return the rows as the function changes them.

    Args:
        spec: The model's spec.
        rows: Rows; shape (rows, columns).
        function: Takes a copy of them.

    Raises:
        DataError: The function changed the number of rows or lost a column of the spec.
    """
    changed = function(rows.copy())
    _check(spec, rows, changed)
    return changed.copy(deep=False)  # a function may return a frame that it keeps


def _check(spec: ModelSpec, before: pd.DataFrame, after: object) -> None:
    if not isinstance(after, pd.DataFrame):
        raise DataError(f"the function returned {type(after).__name__}, not a data frame; return the changed rows")
    if not after.index.equals(before.index):
        raise DataError(
            f"the function turned {len(before):,} rows into {len(after):,}, or changed their index; return each row "
            "once, in its place. A bad row goes to quarantine if an expectation names it"
        )
    lost = [name for name in spec.columns.named() if name in before.columns and name not in after.columns]
    if lost:
        raise DataError(f"the function lost the columns {lost}, which the spec names; return them as well")
