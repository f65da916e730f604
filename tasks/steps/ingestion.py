"""Steps from the source to the training data of a turn."""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd

from everfit.blocks.errors import DataError, WorkspaceError
from everfit.tasks.core.records import Snapshot
from everfit.tasks.data import commit as commit_room
from everfit.tasks.data import cut
from everfit.tasks.data import ingest as ingest_room
from everfit.tasks.data import validate as validate_room
from everfit.tasks.data.split import Split, TrainingData
from everfit.tasks.data.staged_batch import Batch
from everfit.tasks.data.transform import transform
from everfit.tasks.data.validate import Validation
from everfit.tasks.gate import Evidence
from everfit.tasks.monitoring.triage_history import is_called_by_measured_loss
from everfit.tasks.registry.own_code import changed_packages, own_code
from everfit.tasks.steps import validation_results
from everfit.tasks.steps.incumbent import incumbent_version, why_broken
from everfit.tasks.steps.open_turn import OpenTurn
from everfit.tasks.steps.step import step, step_logger
from everfit.tasks.steps.task_runners import workers
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.package import read_package
from everfit.tasks.turns.turn_record import TurnRecord

logger = step_logger("everfit.training")


@step("network")
def ingest(turn: OpenTurn) -> Batch:
    """Read new and changed rows from the source, and stage them for validation.

    Args:
        turn: The turn; rows of event time at or after `turn.until` are left out.

    Returns:
        The numbers of rows read, new, changed and known already. The rows themselves stay in the workspace.

    Raises:
        SourceError: The source can't be read, or lacks a column.
        DataError: The source has no row before `until`, and neither has the dataset.

    Example:
        >>> batch = everfit.tasks.ingest(turn)
        >>> batch.read == batch.new + batch.changed + batch.duplicates
        True
    """
    with workers(turn.context.workspace.uri) as spread:
        batch = ingest_room.ingest(turn.context.spec, turn.until, turn.id, turn.context.workspace, spread=spread)
    logger.info(
        "%s rows read, %s new, %s changed, %s known already",
        *(f"{count:,}" for count in (batch.read, batch.new, batch.changed, batch.duplicates)),
    )
    for note in batch.notes:
        logger.info("%s", note)
    turn.keep(batch=batch)
    return batch


@step("compute", log="transform")
def transform_rows(turn: OpenTurn, batch: Batch, function: Callable[[pd.DataFrame], pd.DataFrame]) -> Batch:
    """Change the staged rows by a function of your own, before they are validated.

    The model learns from columns that the function adds. Give the same function to `score`, and send these columns in
    requests to the prediction service. Leave `columns.features` out of the spec: it names columns that the source has.

    Args:
        turn: The turn.
        batch: As `ingest` or an earlier `transform_rows` returned it.
        function: Takes a part of the rows as a data frame of shape (rows, columns), and returns a frame with the same
            index and the columns that the rows are to have. It is called once for each part of the batch.

    Returns:
        The batch of the changed rows.

    Raises:
        DataError: The function has changed the number of rows, or lost a column of the spec.

    Example:
        >>> def add_rush(rows):
        ...     return rows.assign(rush=rows["sent_at"].dt.hour.between(7, 9))
        >>> batch = everfit.tasks.transform_rows(turn, batch, add_rush)
        >>> batch.round
        1
    """
    changed = transform(turn.context.spec, batch, function, turn.context.workspace)
    logger.info("%s rows by %s", f"{changed.read:,}", getattr(function, "__name__", "a function"))
    turn.keep(batch=changed)
    turn.keep_own_code(function)
    return changed


@step("compute")
def validate(turn: OpenTurn, batch: Batch) -> Validation:
    """Check the staged rows against the spec's expectations.

    The result appears as a page in the turn's MLflow run and as a table in the Prefect run.

    Args:
        turn: The turn.
        batch: As `ingest` returned it.

    Returns:
        The outcome of each expectation, and `passed`: whether the batch may be committed to the dataset.

    Raises:
        SpecError: Great Expectations can't read an expectation of the spec.

    Example:
        >>> validation = everfit.tasks.validate(turn, batch)
        >>> validation.passed, validation.bad_rows
        (True, 0)
    """
    is_lost = is_called_by_measured_loss(turn.context.ledger, turn.entry.trigger)
    with workers(turn.context.workspace.uri) as spread:
        validation = validate_room.validate(
            turn.context.spec, batch, turn.context.workspace, quality_is_lost=is_lost, spread=spread
        )
    logger.info(
        "%s of %s expectations hold, %s bad rows",
        sum(outcome.passed for outcome in validation.outcomes),
        len(validation.outcomes),
        f"{validation.bad_rows:,}",
    )
    for warning in validation.warnings:
        logger.warning("%s", warning)
    for expectation in validation.yielded:
        logger.warning("%s fails; everfit inferred it, so it yields to the loss of quality", expectation)
    validation_results.show(turn.context, batch, validation)
    turn.keep(validation=validation)
    return validation


@step("network")
def commit(turn: OpenTurn, batch: Batch, validation: Validation) -> None:
    """Write good rows to the dataset and bad rows to quarantine; a rejected batch goes to quarantine as a whole.

    Args:
        turn: The turn.
        batch: As it was validated.
        validation: As `validate` returned it.

    Raises:
        ConflictError: Other processes kept writing to the dataset.

    Example:
        >>> everfit.tasks.commit(turn, batch, validation)
    """
    commit_room.commit_batch(turn.context.spec, batch, validation, turn.context.workspace)


@step("network")
def split(turn: OpenTurn) -> Split:
    """Split the time before `until` into a training part and a later hold-out for the comparison.

    The hold-out of a first champion has the length that the spec gives it. Later it is the newer two thirds of the rows
    that the champion has not seen.

    Args:
        turn: The turn, once its rows are committed.

    Returns:
        The windows of training, of validation and of the hold-out.

    Raises:
        DataError: The dataset is too short for the spec's hold-out.

    Example:
        >>> parts = everfit.tasks.split(turn)
        >>> parts.training.until <= parts.holdout.since
        True
    """
    context = turn.context
    champion = incumbent_version(context, turn.entry)
    seen = None if champion is None else champion.trained_until
    parts = cut.cut(context.spec, context.workspace.table(context.spec.name, "dataset"), turn.until, seen)
    turn.keep(split=parts)
    return parts


@step("network", log="snapshot")
def take_snapshot(turn: OpenTurn, split: Split) -> Snapshot:
    """Pin the training data by the version of the dataset, a window and a digest of the content.

    Args:
        turn: The turn; if it runs again, it gets its earlier snapshot.
        split: As `split` returned it.

    Returns:
        The snapshot.

    Raises:
        DataError: The dataset has no row in the window.

    Example:
        >>> snapshot = everfit.tasks.take_snapshot(turn, parts)
        >>> snapshot.rows > 0
        True
    """
    spec, workspace = turn.context.spec, turn.context.workspace
    path = workspace.turn_file(spec.name, turn.id, "snapshot.json")
    if workspace.exists(path):  # a turn that runs again trains on the same rows
        snapshot = Snapshot.model_validate_json(workspace.read(path))
    else:
        snapshot = commit_room.take_snapshot(spec, split.whole, workspace)
        workspace.write(path, snapshot.canonical_json().encode())
        logger.info("version %d, %s rows, %s", snapshot.version, f"{snapshot.rows:,}", split.whole)
    turn.keep(snapshot=snapshot)
    return snapshot


@step("decision")
def already_trained(turn: OpenTurn, snapshot: Snapshot) -> bool:
    """Return whether the last training had the same rows, spec and own code, so that another would change nothing.

    Args:
        turn: The turn.
        snapshot: As `take_snapshot` returned it.

    Returns:
        True if there is nothing new to learn.

    Raises:
        LedgerError: The record of that turn can't be read.

    Example:
        >>> everfit.tasks.already_trained(turn, snapshot)
        False
    """
    if why_broken(turn):  # the last training may have made the champion that is broken
        return False
    for earlier in reversed(turn.context.ledger.turns.of(turn.model)):
        trained = earlier.state in turn_record.JUDGED and earlier.trigger.kind != "waiting"
        if earlier.id != turn.id and trained:
            seen = TurnRecord.recall(earlier.record).snapshot
            same_rows = seen is not None and seen.content_digest == snapshot.content_digest
            same_spec = earlier.spec_digest == turn.entry.spec_digest
            return same_rows and same_spec and not _has_other_code(turn, earlier.id)
    return False


def _has_other_code(turn: OpenTurn, earlier: str) -> bool:
    """Return whether the user's own code differs from that of an earlier turn; not if that turn left no package."""
    present = own_code(turn.context.spec, turn.record.own_modules)
    try:
        environment = read_package(turn.context.workspace, turn.model, earlier).environment
    except WorkspaceError:
        return False
    return "own_code" in environment and bool(changed_packages(present, environment["own_code"]))


@step("compute")
def training_data(turn: OpenTurn) -> TrainingData:
    """Open the rows of the turn's snapshot, split into training and hold-out.

    Args:
        turn: The turn, once it has its split and its snapshot.

    Returns:
        The training data. Its rows are read from the workspace when they are requested.

    Raises:
        DataError: The turn has no snapshot or no split yet.

    Example:
        >>> data = everfit.tasks.training_data(turn)
        >>> rows = data.training_rows(data.split.training)  # shape (rows, columns)
        >>> "late" in rows
        True
    """
    record = turn.record
    if record.snapshot is None or record.split is None:
        raise DataError(f"turn {turn.id!r} has no training data yet; call `split` and `take_snapshot` first")
    return TrainingData(turn.context.spec, record.snapshot, record.split, turn.until, turn.context.workspace)


@step("compute", log="split")
def longer_holdout(turn: OpenTurn, data: TrainingData, evidence: Evidence) -> TrainingData:
    """Move the newest training rows into a hold-out that has too few rows for a comparison.

    From now on no model may be fitted on these rows or chosen by them, so candidates must be tried again.

    Args:
        turn: The turn.
        data: As `training_data` returned it.
        evidence: The measurements on the shorter hold-out.

    Returns:
        The same data with a longer hold-out.

    Raises:
        BusyError: Another process has taken the turn over.

    Example:
        >>> longer = everfit.tasks.longer_holdout(turn, data, evidence)
        >>> longer.split.holdout.since < data.split.holdout.since
        True
    """
    roles = data.spec.columns
    training = data.training_rows(data.split.training)
    held_out = data.rows(evidence.holdout, "compare on")[roles.target]
    wanted = cut.rows_to_move(data.spec, training[roles.target], held_out)
    longer = cut.longer_holdout(data.split, training[roles.time], wanted, evidence.champion_trained_until)
    logger.info("hold-out %s", longer.holdout)
    turn.keep(split=longer)
    return replace(data, split=longer)
