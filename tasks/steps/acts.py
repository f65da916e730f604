"""What follows from a triage: a turn that is called for once, a rollback, somebody told. As Prefect tasks."""

import logging
from collections.abc import Sequence
from typing import Any

from prefect import get_client, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed, Failed

from everfit.blocks.errors import LedgerError
from everfit.tasks.events import DRIFT_DETECTED, ESCALATED, QUALITY_DEGRADED, RELEASE_ROLLED_BACK, emit
from everfit.tasks.ledger import Turn
from everfit.tasks.ledger.calls import Call
from everfit.tasks.records import Window
from everfit.tasks.releasing import release
from everfit.tasks.triage import TriageDecision
from everfit.tasks.triage.retraining import Admission, TurnRequest, admit
from everfit.tasks.triage.signals import Signals
from everfit.tasks.watching import monitoring_report
from everfit.tasks.watching.drift import DriftResult
from everfit.tasks.watching.past import TRIAGE, judged_windows, past_turn
from everfit.tasks.watching.standing import ROLLBACK
from everfit.tasks.watching.watched import Watched

logger = logging.getLogger("everfit.monitoring")

STATES = {
    "healthy": "Healthy",
    "watch": "Watching",
    "quarantine": "DataQuarantined",
    "retrain": "RetrainingCalled",
    "roll_back": "RolledBack",
    "escalate": "Escalated",
}
"""Names of the flow's final states, by verdict."""

RETRAINED, HELD_BACK, NOT_MEASURED = "Retrained", "RetrainingHeldBack", "NotMeasured"
"""Further ones: a retraining that is over, one that storm protection refused, and evidence that broke."""


@task(cache_policy=NO_CACHE)
def tell(
    watched: Watched, signals: Signals, decision: TriageDecision, result: DriftResult | None, run_id: str, *, new: bool
) -> None:
    """Leave the window as an artifact, and tell those who listen of what is new."""
    name = watched.context.spec.name
    text = monitoring_report.markdown(signals, decision, run_id)
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
def call_turn(watched: Watched, decision: TriageDecision) -> Call | None:
    """Ask for the turn that a decision calls for; of many who ask at once, one is to start it."""
    if decision.verdict != "retrain":
        return None
    ledger, spec = watched.context.ledger, watched.context.spec
    entries = ledger.decisions(spec.name, kind=TRIAGE)
    newest = max([entry.until for entry in entries if entry.until is not None], default=watched.until)
    behind = {each.decision.id: each.decision for each in judged_windows(entries, max(newest, watched.until))}
    behind |= {decision.id: decision}

    def may_start(turns: Sequence[Turn]) -> Admission:
        past = [past_turn(turn, behind.get(turn.trigger.id)) for turn in turns]
        return admit(TurnRequest.of(decision), past, max(newest, watched.until), spec.retraining)

    window = Window(until=watched.until)
    call = ledger.call_turn(spec.name, decision.trigger(), window, may_start=may_start)
    logger.info("retrain   %s", call.reason)
    return call


@task(cache_policy=NO_CACHE)
def start_deployment(watched: Watched, decision: TriageDecision, call: Call) -> bool:
    """Start the model's training deployment, where there is one, without waiting for it.

    Returns:
        Whether it was started; if not, the turn is to be run here.
    """
    from prefect.deployments import run_deployment

    name = watched.context.spec.name
    with get_client(sync_client=True) as client:
        for deployment in (f"training/{name}", "training/training"):
            try:
                client.read_deployment_by_name(deployment)
            except ObjectNotFound:
                continue
            parameters = {"model": name, "until": watched.until, "trigger": decision.trigger().model_dump()}
            run_deployment(deployment, parameters=parameters, timeout=0, idempotency_key=call.turn_id, as_subflow=False)
            logger.info("retrain   %s was started for turn %s", deployment, call.turn_id)
            return True
    return False


@task(cache_policy=NO_CACHE)
def roll_back(watched: Watched, decision: TriageDecision) -> None:
    """Make the champion before the judged one the champion again, once; a release that came since is left alone."""
    ledger, spec, judged = watched.context.ledger, watched.context.spec, watched.standing
    noted = f"{decision.id}/rollback"
    current = ledger.current_release(spec.name)
    if decision.verdict != "roll_back" or ledger.decision(noted) is not None:
        return
    if current is None or current.version != judged.version:
        logger.info("rollback  version %d is no longer the champion", judged.version)
        return
    try:
        entry = release.rollback(
            ledger,
            watched.context.mlflow,
            spec.name,
            to=judged.previous_version,
            reason=decision.reasons[0],
            actor="triage",
            policy=spec.release,
        )
    except LedgerError:
        now = ledger.current_release(spec.name)
        if now is None or now.version != judged.previous_version:
            raise
        entry = now  # another monitor was faster
    ledger.record_decision(
        noted,
        model=spec.name,
        kind=ROLLBACK,
        verdict="roll_back",
        until=watched.until,
        reasons=decision.reasons,
        record={"seq": entry.seq, "version": entry.version},
    )
    emit(RELEASE_ROLLED_BACK, spec.name, release=entry)


def final_state(
    watched: Watched, signals: Signals, decision: TriageDecision, call: Call | None, run_id: str
) -> State[dict[str, Any]]:
    """The flow's final state, named for what was decided; evidence that broke is a failure, whatever was decided."""
    turn = watched.context.ledger.find_turn(call.turn_id) if call and call.turn_id else None
    broken = monitoring_report.broken(signals)
    broken += [f"turn {turn.id} failed: {turn.error}"] if turn is not None and turn.state == "failed" else []
    name = STATES[decision.verdict]
    if call is not None and turn is None:
        name = HELD_BACK
    elif turn is not None and turn.settled:
        name = RETRAINED
    elif broken and decision.verdict in {"escalate", "watch", "healthy"}:
        name = NOT_MEASURED
    data = monitoring_report.summary(signals, decision, state=name, run_id=run_id, turn=turn, call=call)
    message = "; ".join([*broken, *decision.reasons])[:500]
    return (Failed if broken else Completed)(name=name, message=message, data=data)
