"""How a turn begins and ends: its lease, its log, its release, its record."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from prefect import task
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from everfit.tasks.core.events import DATA_REJECTED, RELEASE_PROMOTED, TURN_FINISHED, emit
from everfit.tasks.core.final_states import ended
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.data.split import TrainingData
from everfit.tasks.evaluation import model_card, report
from everfit.tasks.ledger import Turn
from everfit.tasks.registry import model_registry, tracking
from everfit.tasks.release import approvals
from everfit.tasks.release import release as releasing
from everfit.tasks.release.approval import overtaken
from everfit.tasks.release.traffic import trials
from everfit.tasks.steps import approval as approval_steps
from everfit.tasks.steps.artifacts import leave_turn
from everfit.tasks.turns import package, turn_record
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.turn_record import TurnRecord

logger = logging.getLogger("everfit.training")


@contextmanager
def take_turn(context: Context, until: datetime, trigger: Trigger) -> Iterator[Turn]:
    """Hold the model's lease for the turn of a trigger; a turn that has ended is given as it ended."""
    with context.ledger.turns.take(
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
    for action in approvals.reconcile(context, datetime.now(UTC)):
        logger.warning("%s: %s", context.spec.name, action)


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
        metrics=turn_record.flat_metrics(record),
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
        state = turn_record.state_of(decision)
        if (
            state != turn_record.DATA_REJECTED and trials.on_trial(context) is None
        ):  # whose place only what is better takes
            model_registry.set_alias(client, spec.name, model_registry.CHALLENGER, version.version)
        return state, decision.reasons
    current = ledger.releases.current(spec.name)
    why = overtaken(evidence.champion_version, None if current is None else current.version)
    if why and ledger.releases.of_turn(turn.id) is None:
        logger.warning("release   version %d is not released: %s", version.version, why)
        return turn_record.SUPERSEDED, (f"Superseded: {why}", *decision.reasons)
    if current is not None and trials.wanted(spec, current) and ledger.releases.of_turn(turn.id) is None:
        trial = trials.begin(context, turn, version.version, current)
        logger.info("release   %s", trials.headline(trial.plan))
        return turn_record.ON_TRIAL, (trials.headline(trial.plan), *decision.reasons)
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
    return turn_record.state_of(decision), decision.reasons


@task
def finish(context: Context, turn: Turn, state: str, reasons: tuple[str, ...], record: TurnRecord) -> Turn:
    """Settle the turn in the ledger, and say in words what was decided and why."""
    seconds = round(time.time() - turn.started_at.timestamp(), 1)
    verdict = None if record.decision is None else record.decision.verdict
    settled = context.ledger.turns.finish(
        turn, state=state, verdict=verdict, reasons=reasons, record=record, seconds=seconds
    )
    artifact = leave_turn(context, settled)
    emit(TURN_FINISHED, context.spec.name, turn_id=turn.id, state=state, reasons=list(reasons))
    if state == turn_record.DATA_REJECTED:
        emit(DATA_REJECTED, context.spec.name, turn_id=turn.id, reasons=list(reasons))
    if state == turn_record.AWAITING_APPROVAL:
        approval_steps.announce(context, settled, artifact)
    return settled


def final_state(turn: Turn) -> State[dict[str, Any]]:
    """The flow's final state, named for how the turn ended; only rejected data is a failure."""
    kind = Failed if turn.state == turn_record.DATA_REJECTED else Completed
    return ended(kind(name=turn.state, message="; ".join(turn.reasons)[:500], data=turn_record.summary(turn)))
