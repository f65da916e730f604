"""The final states of a look at a model."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from everfit.tasks.core.event_names import NOTHING_TO_WATCH, WINDOW_MONITORED
from everfit.tasks.core.events import emit
from everfit.tasks.core.final_states import ended
from everfit.tasks.ledger.requests import RequestOutcome
from everfit.tasks.monitoring.monitored_model import MonitoredModel
from everfit.tasks.monitoring.report import monitoring_report
from everfit.tasks.monitoring.triage_history import TurnOutcome
from everfit.tasks.triage import VERDICTS, TriageDecision
from everfit.tasks.triage.signals import Signals
from everfit.tasks.turns.context import Context

WATCHES_NOTHING = "NothingToWatch"
"""Final state of the flow if the model has no champion yet."""

RETRAINED, JUDGED_AGAIN, HELD_BACK, NOT_MEASURED = (
    "Retrained",
    "ChallengerJudged",
    "RetrainingHeldBack",
    "NotMeasured",
)
"""Further final states: the retraining or the judgement has ended, a limit refused it, or a measurement broke."""

NOTHING_NEW = "NothingNew"
"""Final state if no prediction and no label has come since the last look."""

OVERTAKEN = "RollbackOvertaken"
"""Final state of a rollback that came too late: another champion was released meanwhile."""


def nothing_to_watch(
    context: Context, until: datetime, reason: str = monitoring_report.NO_CHAMPION
) -> State[dict[str, Any]]:
    """Return the final state where there is nothing to look at: neither a failure nor good news.

    Args:
        context: The model.
        until: The window's end.
        reason: Why; by default there is no champion yet.
    """
    name = context.spec.name
    emit(NOTHING_TO_WATCH, name, until=until)
    data = monitoring_report.json_without_look(name, until, state=WATCHES_NOTHING, reason=reason)
    return ended(Completed(name=WATCHES_NOTHING, message=data["reasons"][0], data=data))


def nothing_new(context: Context, until: datetime, reason: str) -> State[dict[str, Any]]:
    """Return the final state of a look that had nothing to measure: all is as it was.

    Args:
        context: The model.
        until: The window's end.
        reason: Why.
    """
    name = context.spec.name
    emit(WINDOW_MONITORED, name, until=until, verdict="as before")
    data = monitoring_report.json_without_look(name, until, state=NOTHING_NEW, reason=reason)
    return ended(Completed(name=NOTHING_NEW, message=reason, data=data))


def monitoring_state(
    monitored: MonitoredModel,
    signals: Signals,
    decision: TriageDecision,
    call: RequestOutcome | None,
    run_id: str,
    *,
    rolled_back: bool = False,
    outcomes: Sequence[TurnOutcome] = (),
) -> State[dict[str, Any]]:
    """Return the flow's final state, whose name is the decision; a broken measurement always makes it a failure.

    Args:
        monitored: The monitored model.
        signals: The evidence of the window.
        decision: The decision of triage.
        call: The answer to the request for a turn.
        run_id: The MLflow run with the evidence.
        rolled_back: Whether the champion was rolled back, if that was decided.
        outcomes: New outcomes of earlier turns.
    """
    turn = monitored.context.ledger.turns.find(call.turn_id) if call and call.turn_id else None
    failures = signals.failures()
    failures += [f"turn {turn.id} failed: {turn.error}"] if turn is not None and turn.state == "failed" else []
    verdict = VERDICTS[decision.verdict]
    name = verdict.state
    if call is not None and turn is None:
        name = HELD_BACK
    elif turn is not None and turn.settled:
        name = JUDGED_AGAIN if decision.verdict == "judge" else RETRAINED
    elif decision.verdict == "roll_back" and not rolled_back:
        name = OVERTAKEN
    elif failures and not verdict.acts:
        name = NOT_MEASURED
    data = monitoring_report.window_json(signals, decision, state=name, run_id=run_id, turn=turn, call=call)
    data["outcomes"] = [{**outcome.model_dump(mode="json"), "summary": outcome.summary} for outcome in outcomes]
    data["failed"] = failures  # so that the command ends with 1, as it does for a measurement
    if not failures:
        emit(WINDOW_MONITORED, monitored.context.spec.name, until=monitored.until, verdict=decision.verdict)
    message = "; ".join([*failures, *decision.reasons])[:500]
    return ended((Failed if failures else Completed)(name=name, message=message, data=data))
