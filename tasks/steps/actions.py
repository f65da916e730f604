"""What follows from a triage: a turn that is called for once, a rollback, somebody told. As Prefect tasks."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from everfit.blocks.errors import LedgerError
from everfit.tasks.core.events import (
    DRIFT_DETECTED,
    ESCALATED,
    NOTHING_TO_WATCH,
    QUALITY_DEGRADED,
    RELEASE_ROLLED_BACK,
    WINDOW_MONITORED,
    emit,
)
from everfit.tasks.core.final_states import ended
from everfit.tasks.ledger import Release
from everfit.tasks.ledger.requests import RequestOutcome
from everfit.tasks.monitoring.champion_at import ROLLBACK, Standing
from everfit.tasks.monitoring.monitored_model import Watched
from everfit.tasks.monitoring.report import monitoring_report
from everfit.tasks.monitoring.report.report_process import REPORT_FILE
from everfit.tasks.monitoring.signals.drift import DriftResult
from everfit.tasks.monitoring.triage_history import OUTCOME, Judged, TurnOutcome, outcomes
from everfit.tasks.registry.mlflow_links import run_link
from everfit.tasks.release import release
from everfit.tasks.steps import requests
from everfit.tasks.triage import TriageDecision
from everfit.tasks.triage.signals import Signals
from everfit.tasks.turns.context import Context

logger = logging.getLogger("everfit.monitoring")

TRIAGE = "triage"
"""Who takes back what a window was lost with."""

STATES = {
    "healthy": "Healthy",
    "watch": "Watching",
    "quarantine": "DataQuarantined",
    "retrain": "RetrainingCalled",
    "roll_back": "RolledBack",
    "escalate": "Escalated",
}
"""Names of the flow's final states, by verdict."""

WATCHES_NOTHING = "NothingToWatch"
"""One more: the model has no champion yet."""

RETRAINED, HELD_BACK, NOT_MEASURED = "Retrained", "RetrainingHeldBack", "NotMeasured"
"""Further ones: a retraining that is over, one that storm protection refused, and evidence that broke."""

OVERTAKEN = "RollbackOvertaken"
"""And a rollback that came too late: what was to be taken back was the champion no more."""


@task(cache_policy=NO_CACHE)
def tell(
    watched: Watched, signals: Signals, decision: TriageDecision, result: DriftResult | None, run_id: str, *, new: bool
) -> None:
    """Leave the window as an artifact, and tell those who listen of what is new."""
    name = watched.context.spec.name
    drawn = watched.context.spec.monitoring.report != "never" and signals.drift.measured
    run = run_link(watched.context.mlflow, watched.context.settings, run_id, REPORT_FILE if drawn else "")
    text = monitoring_report.markdown(signals, decision, run, drawn=drawn)
    create_markdown_artifact(text, key=f"{name}-monitoring", description=f"{decision.verdict}: {decision.reasons[0]}")
    if result is not None and result.columns:
        create_table_artifact(monitoring_report.drift_rows(result), key=f"{name}-drift")
    if not new:
        return
    facts = {"decision_id": decision.id, "until": watched.until, "reference": decision.reference}
    if signals.drift.drifted:
        emit(DRIFT_DETECTED, name, columns=list(signals.drift.columns), **facts)
    if (decision.loss and decision.loss.lost) or (decision.estimated_loss and decision.estimated_loss.lost):
        emit(QUALITY_DEGRADED, name, rule=decision.rule, reasons=list(decision.reasons), **facts)
    if decision.notify:
        emit(ESCALATED, name, verdict=decision.verdict, rule=decision.rule, reasons=list(decision.reasons), **facts)


@task(cache_policy=NO_CACHE)
def call_turn(watched: Watched, decision: TriageDecision) -> RequestOutcome | None:
    """Ask for the turn that a decision calls for; of many who ask at once, one is to start it."""
    if decision.verdict != "retrain":
        return None
    call = requests.call_decided(watched.context, decision)
    logger.info("retrain   %s", call.reason)
    return call


@task(cache_policy=NO_CACHE)
def start_deployment(watched: Watched, call: RequestOutcome) -> bool:
    """Start the model's training deployment, where there is one, without waiting for it.

    Returns:
        Whether it was started; if not, the turn is to be run here.
    """
    assert call.turn_id is not None  # noqa: S101 - it was granted
    return requests.start_training(watched.context, call.turn_id)


@task(cache_policy=NO_CACHE)
def roll_back(watched: Watched, decision: TriageDecision) -> bool:
    """Make the champion before the judged one the champion again, once; a release that came since is left alone.

    Returns:
        Whether it was taken back, now or by who was faster or broken off before the ledger had it.
    """
    if decision.verdict != "roll_back":
        return False
    ledger, spec, judged = watched.context.ledger, watched.context.spec, watched.standing
    current = ledger.releases.current(spec.name)
    if current is not None and current.version == judged.version:
        try:
            current = release.rollback(
                ledger,
                watched.context.mlflow,
                spec.name,
                to=judged.previous_version,
                expected_previous=current.seq,
                reason=decision.reasons[0],
                actor=TRIAGE,
                policy=spec.release,
            )
        except LedgerError:
            current = ledger.releases.current(spec.name)
            if current is None or current.version == judged.version:
                raise
    noted = [entry.record.get("seq") for entry in ledger.decisions.of(spec.name, kind=ROLLBACK)]
    if ledger.decisions.find(f"{decision.id}/rollback") is not None or (current is not None and current.seq in noted):
        return True
    if current is None or not _takes_back(current, judged):
        logger.info("rollback  version %d is no longer the champion, and nothing was rolled back", judged.version)
        return False
    emit(RELEASE_ROLLED_BACK, spec.name, release=current)
    ledger.decisions.record(
        f"{decision.id}/rollback",
        model=spec.name,
        kind=ROLLBACK,
        verdict="roll_back",
        until=watched.until,
        reasons=decision.reasons,
        record={"seq": current.seq, "version": current.version},
    )
    return True


def _takes_back(entry: Release, judged: Standing) -> bool:
    """Whether a release is what triage makes of a champion that it judged."""
    made = (entry.kind, entry.actor, entry.version, entry.previous_version)
    return made == ("rollback", TRIAGE, judged.previous_version, judged.version)


@task(cache_policy=NO_CACHE)
def note_outcomes(watched: Watched, signals: Signals, decision: TriageDecision) -> tuple[TurnOutcome, ...]:
    """Note beside each triage what came of the turn that it called for, once that is known.

    Returns:
        What was not known before.
    """
    ledger, name = watched.context.ledger, watched.context.spec.name
    triages = (*watched.triages, Judged(signals=signals, decision=decision))
    fresh = []
    for each in outcomes(triages, watched.turns):
        noted = f"{each.decision_id}/outcome"
        if ledger.decisions.find(noted) is not None:
            continue
        ledger.decisions.record(
            noted,
            model=name,
            kind=OUTCOME,
            verdict="helped" if each.helped else "did_not_help",
            until=watched.until,
            reasons=(each.words,),
            record=each,
            turn_id=each.turn_id,
        )
        logger.info("outcome   %s", each.words)
        fresh.append(each)
    return tuple(fresh)


def nothing_to_watch(context: Context, until: datetime) -> State[dict[str, Any]]:
    """The flow's final state before there is a champion: neither a failure nor good news."""
    name = context.spec.name
    emit(NOTHING_TO_WATCH, name, until=until)
    data = monitoring_report.before_first_champion(name, until, state=WATCHES_NOTHING)
    return ended(Completed(name=WATCHES_NOTHING, message=data["reasons"][0], data=data))


def final_state(
    watched: Watched,
    signals: Signals,
    decision: TriageDecision,
    call: RequestOutcome | None,
    run_id: str,
    *,
    rolled_back: bool = False,
    found: Sequence[TurnOutcome] = (),
) -> State[dict[str, Any]]:
    """The flow's final state, named for what was decided and done; evidence that broke is a failure, whatever it was.

    Args:
        watched: The window.
        signals: What was found in it.
        decision: What was made of it.
        call: The turn that was asked for.
        run_id: The MLflow run with the evidence.
        rolled_back: Whether the champion was taken back, where that was decided.
        found: What came of earlier turns.
    """
    turn = watched.context.ledger.turns.find(call.turn_id) if call and call.turn_id else None
    broken = monitoring_report.broken(signals)
    broken += [f"turn {turn.id} failed: {turn.error}"] if turn is not None and turn.state == "failed" else []
    name = STATES[decision.verdict]
    if call is not None and turn is None:
        name = HELD_BACK
    elif turn is not None and turn.settled:
        name = RETRAINED
    elif decision.verdict == "roll_back" and not rolled_back:
        name = OVERTAKEN
    elif broken and decision.verdict in {"escalate", "watch", "healthy"}:
        name = NOT_MEASURED
    data = monitoring_report.summary(signals, decision, state=name, run_id=run_id, turn=turn, call=call)
    data["outcomes"] = [{**each.model_dump(mode="json"), "words": each.words} for each in found]
    if not broken:
        emit(WINDOW_MONITORED, watched.context.spec.name, until=watched.until, verdict=decision.verdict)
    message = "; ".join([*broken, *decision.reasons])[:500]
    return ended((Failed if broken else Completed)(name=name, message=message, data=data))
