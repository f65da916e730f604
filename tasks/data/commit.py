"""Commit a checked batch exactly once: good rows to the dataset, bad rows to quarantine; take snapshots."""

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import DataError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Snapshot, Window
from everfit.tasks.data.deduplication import CHANGED, CONFLICT, DUPLICATE, NEW, MatchedRows
from everfit.tasks.data.ingest import file_states_path, read_file_states
from everfit.tasks.data.quarantine import Resolution, resolve_rows, to_quarantine
from everfit.tasks.data.rhythm import keep_age
from everfit.tasks.data.staged_batch import Batch, match_rows, newest_version
from everfit.tasks.data.staging import ORIGIN, OWN, PART, Staging, from_parquet, selected_rows, slices
from everfit.tasks.data.suite import keep_suite, read_suite
from everfit.tasks.data.validate import Validation, row_reasons
from everfit.tasks.sources import FAULTS, FileState
from everfit.tasks.storage.periods import Period, fitting_period
from everfit.tasks.storage.table_schema import keep_kinds
from everfit.tasks.storage.tables import CONTENT, DAY, KEY, OLD_DAY, TURN, ConflictError, Table
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    import pyarrow as pa

_ATTEMPTS = 10


def commit_batch(spec: ModelSpec, batch: Batch, validation: Validation, workspace: Workspace) -> None:
    """Append the batch's good rows to the dataset and its bad rows to the quarantine.

    A refused batch goes to quarantine as a whole. Each append is a transaction named after the turn, so a turn that is
    run again adds nothing twice. Rows that another turn has committed meanwhile are skipped.

    Args:
        spec: Spec of the model.
        batch: The staged batch.
        validation: Result of its validation.
        workspace: Workspace of the tables.

    Raises:
        ConflictError: If other processes keep writing to the dataset.
    """
    staging = Staging(workspace, spec.name, batch.turn_id, batch.round)
    if batch.fresh:
        for attempt in range(_ATTEMPTS):
            try:
                _accept_rows(spec, batch, validation, staging, first=attempt == 0)
                break
            except ConflictError:
                if attempt == _ATTEMPTS - 1:
                    raise
    if validation.passed and batch.sizes:
        keep_age(spec, batch, staging)
        _remember_files(spec, staging)


def _accept_rows(spec: ModelSpec, batch: Batch, validation: Validation, staging: Staging, *, first: bool) -> None:
    dataset = staging.workspace.table(spec.name, "dataset")
    quarantine = staging.workspace.table(spec.name, "quarantine")
    version, aside = newest_version(dataset), newest_version(quarantine)
    matched = staging.read_matched()
    if (version, aside) != (batch.dataset_version, batch.quarantine_version) or not first:
        # Another turn has written since the rows were matched, or this turn did before it was killed. Skip rows that
        # are in the dataset or in quarantine by now; a row that was found to be a duplicate stays one.
        again = match_rows(spec, staging, batch.sizes, version, aside=not batch.from_quarantine)
        status = np.where(matched.status == DUPLICATE, DUPLICATE, again.status).astype(np.uint8)
        matched = MatchedRows(status, again.old_day, again.in_quarantine | matched.in_quarantine)
    _quarantine(spec, batch, validation, matched, staging, aside)
    if validation.passed:
        if validation.suite_inferred or validation.yielded:
            keep_suite(spec, read_suite(staging.workspace.read(staging.path("suite.yaml"))), staging.workspace)
        changed_by = None if batch.from_quarantine else batch.changed_by
        keep_kinds(staging.workspace, spec.name, batch.kinds, changed_by)
        _append(batch, matched, staging, dataset, version)
    _settle_earlier(spec, batch, validation, matched, staging)


def _bad_rows(staging: Staging, number: int, size: int) -> npt.NDArray[np.bool_]:
    bad = np.zeros(size, dtype=np.bool_)
    rejected = from_parquet(staging.workspace.read(staging.path(f"{number:05d}.bad.parquet")), ["row"])
    bad[rejected["row"].to_numpy()] = True
    return bad


def _quarantine(  # noqa: PLR0917
    spec: ModelSpec, batch: Batch, validation: Validation, matched: MatchedRows, staging: Staging, version: int
) -> None:
    quarantine = staging.workspace.table(spec.name, "quarantine")
    checked = np.isin(matched.status, (NEW, CHANGED, CONFLICT))
    for number, span in enumerate(slices(batch.sizes)):
        bad = _bad_rows(staging, number, span.stop - span.start)
        aside = checked[span] & (bad if validation.passed else True)
        if not aside.any():
            continue
        part = staging.read_part(number)
        reasons = row_reasons(spec, batch, number, staging=staging, faults=part[FAULTS], status=matched.status[span])
        rows = to_quarantine(
            selected_rows(part, aside),
            [reasons.get(int(row), "") for row in np.flatnonzero(aside)],
            "; ".join(validation.reasons),
            OWN,
        )
        version = quarantine.append(rows, f"{batch.turn_id}/quarantine/{number}", version)


def _append(batch: Batch, matched: MatchedRows, staging: Staging, dataset: Table, version: int) -> None:
    import pyarrow as pa

    for number, span in enumerate(slices(batch.sizes)):
        size, status = span.stop - span.start, matched.status[span]
        good = ~_bad_rows(staging, number, size)
        new, changed = good & (status == NEW), good & (status == CHANGED)
        if not new.any() and not changed.any():
            continue
        part = _for_dataset(staging.read_part(number))
        if new.any():
            if version < 0:
                dataset.create(part.schema.remove_metadata(), _period(batch, staging))
            version = dataset.append(selected_rows(part, new), f"{batch.turn_id}/new/{number}", version)
        if changed.any():
            old_day = pa.array(matched.old_day[span][changed], pa.int32()).cast(pa.date32())
            rows = selected_rows(part, changed).append_column(OLD_DAY, old_day)
            version = dataset.supersede(rows, f"{batch.turn_id}/changed/{number}", version)


def _period(batch: Batch, staging: Staging) -> Period:
    """Return the period of partitions that suits the amount of the first rows."""
    parts = [staging.read_part(number, [DAY])[DAY].to_numpy() for number, size in enumerate(batch.sizes) if size]
    days, rows = np.unique(np.concatenate(parts), return_counts=True)
    return fitting_period(days.astype("datetime64[D]").astype(np.int32), rows.astype(np.int64))


def _for_dataset(part: "pa.Table") -> "pa.Table":
    """Return staged rows without the columns that only validation needs."""
    import pyarrow as pa

    part = part.drop_columns([FAULTS, ORIGIN, PART])
    position = part.column_names.index(TURN)
    return part.set_column(position, TURN, part[TURN].cast(pa.string()))


def _settle_earlier(
    spec: ModelSpec, batch: Batch, validation: Validation, matched: MatchedRows, staging: Staging
) -> None:
    """Resolve earlier quarantined rows of these keys: they are now accepted or quarantined again."""
    quarantine = staging.workspace.table(spec.name, "quarantine")
    for number, span in enumerate(slices(batch.sizes)):
        met = matched.in_quarantine[span]
        if not met.any():
            continue
        keys = np.asarray(staging.read_part(number, [KEY])[KEY].to_numpy(), dtype=np.int64)[met]
        bad = _bad_rows(staging, number, span.stop - span.start)[met]
        resolutions: list[Resolution] = [
            "accepted" if validation.passed and not is_bad else "repeated" for is_bad in bad.tolist()
        ]
        resolve_rows(quarantine, keys, resolutions, batch.turn_id, f"{batch.turn_id}/settled/{number}")


def _remember_files(spec: ModelSpec, staging: Staging) -> None:
    """Remember which files were read, now that their rows are committed."""
    current = {
        path: FileState.model_validate(state)
        for path, state in json.loads(staging.workspace.read(staging.path("files.json"))).items()
    }
    earlier = read_file_states(spec, staging.workspace)
    newer = {
        path: state
        for path, state in current.items()
        # If a turn of an earlier moment is run again, it knows less about a file than a later turn does.
        if path not in earlier
        or earlier[path].identity != state.identity
        or earlier[path].read_until <= state.read_until
    }
    if newer:
        content = {path: state.model_dump(mode="json") for path, state in sorted((earlier | newer).items())}
        staging.workspace.write(file_states_path(spec, staging.workspace), json.dumps(content, indent=1).encode())


def take_snapshot(spec: ModelSpec, window: Window, workspace: Workspace, version: int | None = None) -> Snapshot:
    """Return a reference to the rows of a window, in the dataset's current or an earlier version.

    Args:
        spec: Spec of the model.
        window: Span of event time.
        workspace: Workspace of the dataset.
        version: Version of the dataset; by default the newest.

    Returns:
        Version, window, number of rows and digest of their content.

    Raises:
        DataError: If the window has no row.
    """
    dataset = workspace.table(spec.name, "dataset")
    version = dataset.version() if version is None else version
    pieces = [
        frame[CONTENT].to_numpy(dtype=np.int64)
        for frame in dataset.batches(window, spec.columns.time, [CONTENT], version)
    ]
    contents = np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int64)
    if len(contents) == 0:
        raise DataError(f"{spec.name}: the dataset has no row in {window}; check training.window and until")
    return Snapshot(
        uri=dataset.uri,
        version=version,
        window=window,
        rows=len(contents),
        content_digest=hashlib.sha256(np.sort(contents).tobytes()).hexdigest(),
    )
