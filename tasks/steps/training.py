"""The steps of a training turn as Prefect tasks: each a thin layer over the function that does the work."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from prefect import runtime, task
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from everfit.blocks.settings import Settings
from everfit.tasks import gate as gating
from everfit.tasks import tracking, turns
from everfit.tasks.context import Context
from everfit.tasks.data import accept as accepting
from everfit.tasks.data import ingest as ingesting
from everfit.tasks.data import validate as validating
from everfit.tasks.data.ingest import Batch
from everfit.tasks.data.split import Split, TrainingData, split_window
from everfit.tasks.data.split import longer_holdout as split_again
from everfit.tasks.data.validate import Validation
from everfit.tasks.events import DATA_REJECTED, RELEASE_PROMOTED, TURN_FINISHED, emit
from everfit.tasks.evidence import conversion as converting
from everfit.tasks.evidence import evaluate as evaluating
from everfit.tasks.evidence import model_card, report, serving_check
from everfit.tasks.evidence.conversion import Conversion
from everfit.tasks.evidence.evaluate import Incumbent
from everfit.tasks.gate import Evidence, GateDecision
from everfit.tasks.learning import package, train
from everfit.tasks.learning.search import Setting
from everfit.tasks.learning.train import Fitted, Trial
from everfit.tasks.ledger import Turn
from everfit.tasks.progress import Progress
from everfit.tasks.records import ModelVersion, Snapshot, Trigger, Window
from everfit.tasks.releasing import approver, registry, trials
from everfit.tasks.releasing import release as releasing
from everfit.tasks.releasing.approval import overtaken
from everfit.tasks.specs import load_spec
from everfit.tasks.steps import approval as approval_steps
from everfit.tasks.steps import validation_results
from everfit.tasks.steps.artifacts import leave_turn
from everfit.tasks.turns import TurnRecord
from everfit.tasks.watching import reference

logger = logging.getLogger("everfit.training")


def open_context(model: str) -> Context:
    """Find the model's spec and the places that the settings name."""
    settings = Settings()
    tracking.use_tracking(settings)
    return Context(load_spec(model), settings)


def moment(until: datetime | None) -> datetime:
    """The end of the turn's window: the one given, or when the flow run was due, the same if it is run again."""
    return turns.check_until(until or runtime.flow_run.scheduled_start_time or datetime.now(UTC))


@contextmanager
def take_turn(context: Context, until: datetime, trigger: Trigger) -> Iterator[Turn]:
    """Hold the model's lease for the turn of a trigger; a turn that has ended is given as it ended."""
    with context.ledger.take_turn(
        context.spec.name,
        trigger,
        Window(until=until),
        spec_digest=context.spec.digest(),
        code_version=tracking.code_version(),
    ) as turn:
        yield turn


@task
def reconcile(context: Context) -> None:
    """Put right what a crash has left of a release, record a champion set by hand, and end what waits no more."""
    for action in approver.reconcile(context, datetime.now(UTC)):
        logger.warning("%s: %s", context.spec.name, action)


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
    for earlier in reversed(context.ledger.turns(context.spec.name)):
        if earlier.id != turn.id and earlier.state in turns.JUDGED:
            seen = TurnRecord.recall(earlier.record).snapshot
            same_rows = seen is not None and seen.content_digest == snapshot.content_digest
            return same_rows and earlier.spec_digest == turn.spec_digest
    return False


@task(task_run_name="try-{candidate}")
def try_candidate(data: TrainingData, candidate: str, warm: Setting | None = None) -> Trial:
    """Fit a candidate on earlier training rows, score it on later ones, with each of the settings tried."""
    trial = train.try_candidate(data, candidate, warm, Progress(data.spec.training.search, candidate).told)
    told = trial.error or f"{trial.metric} {trial.score:.4f} on validation rows"
    logger.info("train     %s: %s (%.1f s)", candidate, told, trial.seconds)
    return trial


def candidates(context: Context, turn: Turn) -> tuple[tuple[str, Setting | None], ...]:
    """The names of what is tried, each with the setting that did best in the last turn."""
    last: dict[str, Setting] = {}
    for earlier in context.ledger.turns(context.spec.name):
        if earlier.id != turn.id and earlier.state in {turns.PROMOTED, turns.CHAMPION_KEPT}:
            tried = TurnRecord.recall(earlier.record).trials
            last = {trial.candidate: trial.setting for trial in tried if trial.score is not None}
    return tuple((name, last.get(name)) for name in context.spec.training.candidates_for(context.spec.task))


@task
def fit_challenger(data: TrainingData, turn: Turn, trials: tuple[Trial, ...]) -> Fitted:
    """Fit the candidate that did best on all training rows."""
    path = data.workspace.turn_file(turn.model, turn.id, "challenger.skops")
    return train.fit_best(data, trials, data.split.training, path)


@task
def evaluate(context: Context, turn: Turn, data: TrainingData, challenger: Fitted, validation: Validation) -> Evidence:
    """Measure challenger, champion and a dummy on the same hold-out rows."""
    return evaluating.evaluate(data, challenger, _incumbent(context, turn), validation)


def _incumbent(context: Context, turn: Turn) -> Incumbent | None:
    """The champion as it was before this turn, which may have released its own already and been killed."""
    entry = _release_before(context, turn)
    if entry is None:
        return None
    version = registry.model_version(context.mlflow, context.spec.name, entry.version)
    threshold = tracking.threshold(context.mlflow, version)
    return Incumbent(version, registry.load(context.mlflow, version), threshold)


def _release_before(context: Context, turn: Turn) -> Any:
    own = context.ledger.release_of(turn.id)
    if own is None:
        return context.ledger.current_release(context.spec.name)
    earlier = [entry for entry in context.ledger.releases(context.spec.name) if entry.seq < own.seq]
    return next((entry for entry in reversed(earlier) if entry.state == "verified"), None)


def judge(context: Context, evidence: Evidence) -> GateDecision:
    """Decide as far as is known before the challenger is registered, and tried as it would be served."""
    return gating.decide(evidence, context.spec.gate.model_copy(update={"serving": None, "conversion": False}))


@task
def refit(data: TrainingData, turn: Turn, challenger: Fitted, judged: GateDecision) -> Fitted:
    """Fit what is good enough again on all rows, hold-out included; the rest stays as it was judged."""
    if judged.verdict == "keep" or not data.spec.training.refit:
        return challenger
    path = data.workspace.turn_file(turn.model, turn.id, "refitted.skops")
    logger.info("refit     %s on all rows to %s", challenger.candidate, f"{data.split.whole.until:%Y-%m-%d %H:%M}")
    return train.fit_on(data, challenger.candidate, data.split.whole, path, challenger.setting)


@task
def convert(data: TrainingData, turn: Turn, fitted: Fitted, judged: GateDecision) -> Conversion | None:
    """Convert what is good enough to the format of its release, where that is another than it was fitted in."""
    wanted = judged.verdict != "keep" or data.spec.gate.conversion  # which asks for evidence of it
    if data.spec.release.format == "skops" or not wanted:
        return None
    made = converting.convert(data, fitted, data.workspace.turn_file(turn.model, turn.id, "converted.onnx"))
    logger.info("convert   %s", made.evidence.problem or f"the same as {made.evidence.format}")
    return made


@task
def register(
    context: Context,
    turn: Turn,
    data: TrainingData,
    challenger: Fitted,
    fitted: Fitted,
    *,
    conversion: Conversion | None,
) -> ModelVersion:
    """Register the challenger as it would be released, with what it was trained on as its reference."""
    spec, client = context.spec, context.mlflow
    run_id = tracking.turn_run(client, context.settings, spec.name, turn.id)
    reference.log_reference(client, run_id, reference.make_reference(data, challenger, fitted))
    described = f"Challenger of turn {turn.id}"
    made = tracking.register_model(
        client, run_id, data, fitted, turn_id=turn.id, description=described, conversion=conversion
    )
    logger.info("register  version %d, MLflow run %s", made.version, run_id)
    return made


@task
def try_serving(
    context: Context,
    data: TrainingData,
    version: ModelVersion,
    fitted: Fitted,
    evidence: Evidence,
    *,
    conversion: Conversion | None,
) -> Evidence:
    """Add what the prediction service's own code makes of the version, where the gate asks for it."""
    found = None
    if context.spec.gate.serving is not None:
        found = serving_check.check_serving(data, version, fitted, conversion)
        logger.info("serving   %s", found.problem or f"as in training, p99 {found.p99_ms:.1f} ms")
    converted = None if conversion is None else conversion.evidence
    return evidence.model_copy(
        update={"challenger_version": version.version, "serving": found, "conversion": converted}
    )


@task
def gate(context: Context, turn: Turn, evidence: Evidence) -> tuple[Evidence, GateDecision]:
    """Decide, and write the decision into the ledger.

    A turn that was killed after it had decided keeps to that, though a latency comes out otherwise each time, and the
    champion may be another one by now.

    Returns:
        What was decided, and on what.
    """
    decision = gating.decide(evidence, context.spec.gate)
    made = context.ledger.decision(f"{turn.id}/gate") or context.ledger.record_decision(
        f"{turn.id}/gate",
        model=context.spec.name,
        kind="gate",
        verdict=decision.verdict,
        until=turn.window.until,
        reasons=decision.reasons,
        record={"decision": decision.model_dump(mode="json"), "evidence": evidence.model_dump(mode="json")},
        turn_id=turn.id,
    )
    logger.info("gate      %s", made.reasons[0])
    return Evidence.recall(made.record["evidence"]), GateDecision.recall(made.record["decision"])


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


@task
def track(context: Context, turn: Turn, data: TrainingData, record: TurnRecord) -> None:
    """Log what the turn found and decided to MLflow."""
    spec, client = context.spec, context.mlflow
    decision, version, fitted = record.decision, record.version, record.refitted
    assert decision is not None  # noqa: S101 - what is tracked was registered and judged
    assert version is not None  # noqa: S101
    assert fitted is not None  # noqa: S101
    tracking.log_turn(
        client,
        version.run_id,
        parameters={
            "candidate": fitted.candidate,
            "span": fitted.setting.span,
            **{f"parameter.{name}": value for name, value in fitted.setting.parameters.items()},
            "until": turn.window.until.isoformat(),
            "trigger": turn.trigger.kind,
            "rows": fitted.rows,
            "seed": spec.training.seed,
            "verdict": decision.verdict,
        },
        metrics=turns.flat_metrics(record),
        documents={
            "spec.json": spec.content(),
            "turn.json": record.model_dump(mode="json"),
            "decision.json": decision.model_dump(mode="json"),
            "validation.json": record.validation.model_dump(mode="json") if record.validation else {},
        },
        snapshot=data.snapshot,
    )
    if spec.training.search.on:
        tracking.log_tries(client, version.run_id, record.trials)
    evidence = record.evidence
    assert record.fitted is not None  # noqa: S101
    assert evidence is not None  # noqa: S101
    made = report.make_report(data, record.fitted, evidence.holdout, evidence.calibration)
    card = model_card.model_card(made[0], decision, turn.id)
    tracking.log_report(client, version.run_id, *made, card)
    package.write_package(context, turn, data, record, made[0])
    client.update_model_version(spec.name, str(version.version), description=card)


@task
def release(context: Context, turn: Turn, record: TurnRecord) -> tuple[str, tuple[str, ...]]:
    """Make the challenger the champion if the gate said so, and the champion is still the one that it has beaten.

    Returns:
        The turn's final state, and the reasons for it.
    """
    spec, client, ledger = context.spec, context.mlflow, context.ledger
    decision, evidence, version = record.decision, record.evidence, record.version
    assert decision is not None  # noqa: S101 - the flow releases what was judged
    assert evidence is not None  # noqa: S101
    assert version is not None  # noqa: S101
    if decision.verdict != "promote":
        if trials.on_trial(context) is None:  # whose place nobody takes who isn't better
            registry.set_alias(client, spec.name, registry.CHALLENGER, version.version)
        return turns.state_of(decision), decision.reasons
    current = ledger.current_release(spec.name)
    why = overtaken(evidence.champion_version, None if current is None else current.version)
    if why and ledger.release_of(turn.id) is None:
        logger.warning("release   version %d is not released: %s", version.version, why)
        return turns.SUPERSEDED, (f"Superseded: {why}", *decision.reasons)
    if current is not None and trials.wanted(spec, current) and ledger.release_of(turn.id) is None:
        trial = trials.begin(context, turn, version.version, current)
        logger.info("release   %s", trials.headline(trial.plan))
        return turns.ON_TRIAL, (trials.headline(trial.plan), *decision.reasons)
    entry = releasing.release(
        ledger,
        client,
        spec.name,
        version.version,
        expected_previous=None if current is None else current.seq,
        reason=decision.reasons[0],
        actor="gate",
        turn=turn,
        policy=spec.release,
    )
    emit(RELEASE_PROMOTED, spec.name, release=entry)
    logger.info("release   version %d is the champion (release %d)", entry.version, entry.seq)
    return turns.state_of(decision), decision.reasons


@task
def finish(context: Context, turn: Turn, state: str, reasons: tuple[str, ...], record: TurnRecord) -> Turn:
    """Settle the turn in the ledger, and say in words what was decided and why."""
    seconds = round(time.time() - turn.started_at.timestamp(), 1)
    verdict = None if record.decision is None else record.decision.verdict
    settled = context.ledger.finish_turn(
        turn, state=state, verdict=verdict, reasons=reasons, record=record, seconds=seconds
    )
    artifact = leave_turn(context, settled)
    emit(TURN_FINISHED, context.spec.name, turn_id=turn.id, state=state, reasons=list(reasons))
    if state == turns.DATA_REJECTED:
        emit(DATA_REJECTED, context.spec.name, turn_id=turn.id, reasons=list(reasons))
    if state == turns.AWAITING_APPROVAL:
        approval_steps.announce(context, settled, artifact)
    return settled


def final_state(turn: Turn) -> State[dict[str, Any]]:
    """The flow's final state, named for how the turn ended; only rejected data is a failure."""
    kind = Failed if turn.state == turns.DATA_REJECTED else Completed
    return kind(name=turn.state, message="; ".join(turn.reasons)[:500], data=turns.summary(turn))
