"""From the source to named training data, as Prefect tasks."""

import logging
from dataclasses import replace

from prefect import task

from everfit.tasks.core.records import Snapshot
from everfit.tasks.data import commit as accepting
from everfit.tasks.data import ingest as ingesting
from everfit.tasks.data import validate as validating
from everfit.tasks.data.ingest import Batch
from everfit.tasks.data.split import Split, TrainingData, split_window
from everfit.tasks.data.split import longer_holdout as split_again
from everfit.tasks.data.validate import Validation
from everfit.tasks.gate import Evidence
from everfit.tasks.ledger import Turn
from everfit.tasks.steps import validation_results
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.turn_record import TurnRecord

logger = logging.getLogger("everfit.training")


@task
def ingest(context: Context, turn: Turn) -> Batch:
    """Stage what is new in the source."""
    batch = ingesting.ingest(context.spec, turn.window.until, turn.id, context.workspace)
    logger.info(
        "ingest    %s rows read, %s new, %s changed, %s known already",
        *(f"{count:,}" for count in (batch.read, batch.new, batch.changed, batch.duplicates)),
    )
    return batch


@task
def validate(context: Context, batch: Batch) -> Validation:
    """Tell good rows from bad ones."""
    validation = validating.validate(context.spec, batch, context.workspace)
    logger.info(
        "validate  %s of %s expectations hold, %s bad rows",
        sum(outcome.passed for outcome in validation.outcomes),
        len(validation.outcomes),
        f"{validation.bad_rows:,}",
    )
    validation_results.show(context, batch, validation)
    return validation


@task
def accept(context: Context, batch: Batch, validation: Validation) -> None:
    """Put good rows into the dataset and bad ones into quarantine."""
    accepting.accept(context.spec, batch, validation, context.workspace)


@task
def take_snapshot(context: Context, turn: Turn, split: Split) -> Snapshot:
    """Name the training data exactly, for ever."""
    kept = context.workspace.turn_file(context.spec.name, turn.id, "snapshot.json")
    if context.workspace.exists(kept):  # a turn that is run again trains on what it trained on
        return Snapshot.model_validate_json(context.workspace.read(kept))
    snapshot = accepting.take_snapshot(context.spec, split.whole, context.workspace)
    context.workspace.write(kept, snapshot.canonical_json().encode())
    logger.info("snapshot  version %d, %s rows, %s", snapshot.version, f"{snapshot.rows:,}", split.whole)
    return snapshot


def data_of(context: Context, turn: Turn, record: TurnRecord) -> TrainingData:
    """The rows of a turn that has come to its snapshot."""
    assert record.snapshot is not None  # noqa: S101 - the flow asks after it was taken
    assert record.split is not None  # noqa: S101
    return TrainingData(context.spec, record.snapshot, record.split, turn.window.until, context.workspace)


def split(context: Context, turn: Turn) -> Split:
    """Cut the time before `until` into training and hold-out."""
    roles, until = context.spec.columns, turn.window.until
    newest = None
    if roles.event_time is not None:
        newest = context.workspace.table(context.spec.name, "dataset").newest(roles.event_time, before=until)
    return split_window(context.spec, until, newest)


def nothing_new(context: Context, turn: Turn, snapshot: Snapshot) -> bool:
    """Whether the last turn that trained has seen these very rows, by this very spec."""
    for earlier in reversed(context.ledger.turns.of(context.spec.name)):
        if earlier.id != turn.id and earlier.state in turn_record.JUDGED:
            seen = TurnRecord.recall(earlier.record).snapshot
            same_rows = seen is not None and seen.content_digest == snapshot.content_digest
            return same_rows and earlier.spec_digest == turn.spec_digest
    return False


def longer_holdout(context: Context, data: TrainingData, evidence: Evidence) -> TrainingData:
    """Judge on more rows: the newest of the training rows, which no model may be fitted on or chosen by any more."""
    wanted = max(2 * context.spec.gate.min_rows, 2 * evidence.holdout_rows) - evidence.holdout_rows
    compared = evidence.comparison or evidence.dummy_comparison
    if compared is not None and compared.rarest_class_rows is not None:
        share = max(compared.rarest_class_rows, 1) / evidence.holdout_rows
        wanted = max(wanted, round(2 * context.spec.gate.min_class_rows / share) - evidence.holdout_rows)
    times = data.training_rows(data.split.training)[context.spec.columns.time]
    split = split_again(data.split, times, wanted, evidence.champion_trained_until)
    logger.info("split     hold-out %s", split.holdout)
    return replace(data, split=split)
