"""Requests for turns: the ledger grants one, and training is started once under the turn's id."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from prefect import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed

from everfit.blocks.errors import EverfitError
from everfit.tasks.core.final_states import ended
from everfit.tasks.core.records import Trigger, TriggerKind, Window
from everfit.tasks.ledger import Turn
from everfit.tasks.ledger.records import FAILED, RUNNING
from everfit.tasks.ledger.requests import RequestOutcome
from everfit.tasks.monitoring.signals.code_change import read_code
from everfit.tasks.monitoring.triage_history import (
    TRIAGE,
    JudgedWindow,
    past_turn,
    read_triages,
    started_turns,
    triage_entries,
)
from everfit.tasks.registry import model_registry
from everfit.tasks.steps.step import step, step_logger
from everfit.tasks.triage import VERDICTS, TriageDecision
from everfit.tasks.triage.admission import Admission, TurnRequest, admit
from everfit.tasks.triage.event_requests import EventRequest, admit_event
from everfit.tasks.triage.signals import CodeSignal
from everfit.tasks.turns.context import Context

logger = step_logger("everfit.calls")

CALLED, CALLED_ALREADY, HELD_BACK = "TurnCalled", "TurnCalledAlready", "TurnHeldBack"
"""Names of final states: the turn is started, it was already, or the ledger's rules refused it."""

_NOT_REFUSED: frozenset[TriggerKind] = frozenset({"manual", "schedule"})
"""Triggers that start a turn at once: a person and a schedule. Every other trigger requests it and may be refused."""


@step("decision", log="retrain")
def request_turn(
    context: Context, until: datetime, kind: TriggerKind = "event", reason: str = "", decision_id: str = ""
) -> RequestOutcome:
    """Request a turn; the ledger grants it once, if cooldown, budget and triage allow it.

    Args:
        context: The model, as `open_context` returns it.
        until: The end of the turn's window.
        kind: The kind of the request, such as `event`, `drift` or `quality`; with a decision its kind is used.
        reason: The reason in words, for the readers of the history.
        decision_id: The triage decision behind the request, if there is one; its window and reasons are used.

    Returns:
        The id of the turn, whether the caller must `start` it, and the reason.

    Raises:
        EverfitError: The model has no such decision.

    Example:
        >>> outcome = everfit.tasks.request_turn(context, UNTIL, "event", "new prices")
        >>> outcome.start
        False
    """
    if not decision_id:
        return request_for_event(context, until, Trigger(kind=kind, reason=reason))
    entry = context.ledger.decisions.find(decision_id)
    if entry is None or entry.kind != TRIAGE or entry.model != context.spec.name:
        raise EverfitError(f"{decision_id!r} is no triage of {context.spec.name!r}; leave decision_id empty")
    decision = JudgedWindow.recall(entry.record).decision
    if not VERDICTS[decision.verdict].calls_turn:
        return RequestOutcome(
            turn_id=None, start=False, reason=f"triage says {decision.verdict}: {decision.reasons[0]}"
        )
    return request_for_decision(context, decision)


def request_for_decision(context: Context, decision: TriageDecision) -> RequestOutcome:
    """Request the turn of a triage decision; one of many simultaneous callers must start it."""
    spec, until, trigger = context.spec, decision.window.until, decision.trigger()
    entries = triage_entries(context.ledger, spec.name, context.ledger.turns.of(spec.name))
    newest = max([entry.until for entry in entries if entry.until is not None], default=until)
    behind = {judged.decision.id: judged.decision for judged in read_triages(entries)}
    behind |= {decision.id: decision}

    def may_start(turns: Sequence[Turn]) -> Admission:
        others, attempts = _without(turns, trigger.turn_id(spec.name, until))
        past = [past_turn(turn, behind.get(turn.trigger.id)) for turn in others]
        request = TurnRequest.of(decision).model_copy(update={"attempts": attempts})
        return admit(request, past, max(newest, until), spec.retraining)

    return context.ledger.turns.request(spec.name, trigger, Window(until=until), may_start=may_start)


def request_for_event(context: Context, until: datetime, trigger: Trigger) -> RequestOutcome:
    """Request a turn without a triage decision."""
    spec, ledger = context.spec, context.ledger
    entries = ledger.decisions.of(spec.name, kind=TRIAGE)
    newest = max([entry.until for entry in entries if entry.until is not None], default=until)
    code = _code(context) if trigger.kind == "code" else CodeSignal()

    def may_start(turns: Sequence[Turn]) -> Admission:
        others, attempts = _without(turns, trigger.turn_id(spec.name, until))
        request = EventRequest(model=spec.name, kind=trigger.kind, until=until, code=code, attempts=attempts)
        return admit_event(request, [past_turn(turn, None) for turn in others], newest, spec.retraining)

    return ledger.turns.request(spec.name, trigger, Window(until=until), may_start=may_start)


def _without(turns: Sequence[Turn], turn_id: str) -> tuple[list[Turn], int]:
    """Return the other turns, and how often this one has been started."""
    own = next((turn.attempt for turn in turns if turn.id == turn_id), 0)
    return [turn for turn in started_turns(turns) if turn.id != turn_id], own


def refuse_event(context: Context, until: datetime, trigger: Trigger) -> RequestOutcome | None:
    """Return the refusal of a training run that no person has started, or None if it may continue.

    A turn that was granted continues, and its run may resume a turn that broke off. A turn that did not start for so
    long that it was given up must be requested again, since others may have been granted meanwhile.
    """
    turn_id = trigger.turn_id(context.spec.name, until)
    earlier = next((turn for turn in context.ledger.turns.observed(context.spec.name) if turn.id == turn_id), None)
    given_up = earlier is not None and earlier.state == FAILED and earlier.fence is None and trigger.kind != "manual"
    if not given_up and (earlier is not None or trigger.kind in _NOT_REFUSED):
        return None
    answer = request_for_event(context, until, trigger)
    return None if answer.start else answer


@step("decision", log="retrain")
def start_turn(context: Context, answer: RequestOutcome) -> None:
    """Start training for a turn that was granted and has not started; its id ensures that it starts once.

    The turn also starts if the process that got the grant was killed.

    Raises:
        EverfitError: The model has no training deployment.
    """
    if answer.turn_id and not start_training(context, answer.turn_id):
        raise EverfitError(f"{context.spec.name!r} has no training deployment; run `everfit bootstrap`")


def start_training(context: Context, turn_id: str) -> bool:
    """Start the model's training deployment for a turn, where there is one, without waiting for it.

    One run is started each time that a turn is reserved, however often it is requested. Prefect returns the run of a
    key that it knows, even one that is over, so a turn that broke off needs a new key to run again.

    Args:
        context: The model's.
        turn_id: The reserved turn; one that runs or has ended is left alone.

    Returns:
        Whether the turn has been started; False if there is no such deployment.
    """
    from prefect.deployments import run_deployment

    model, turn = context.spec.name, context.ledger.turns.get(turn_id)
    if turn.state != RUNNING or turn.fence is not None:
        return True
    key = f"{turn.id}/{turn.started_at.isoformat()}"
    with get_client(sync_client=True) as client:
        for deployment in (f"training/{model}", "training/training"):
            try:
                known = client.read_deployment_by_name(deployment)
            except ObjectNotFound:
                continue
            # The deployment's own parameter stays: it may be a spec file.
            named = {} if "model" in known.parameters else {"model": model}
            parameters = {**named, "until": turn.window.until, "trigger": turn.trigger.model_dump()}
            run_deployment(deployment, parameters=parameters, timeout=0, idempotency_key=key, as_subflow=False)
            logger.info("%s was started for turn %s", deployment, turn_id)
            return True
    return False


def final_state(context: Context, answer: RequestOutcome) -> State[dict[str, Any]]:
    """Return the final state of a flow that requested a turn."""
    name = CALLED if answer.start else CALLED_ALREADY if answer.turn_id else HELD_BACK
    data = {"model": context.spec.name, "state": name, "turn_id": answer.turn_id, "reasons": [answer.reason]}
    return ended(Completed(name=name, message=answer.reason[:500], data=data))


def _code(context: Context) -> CodeSignal:
    """Return the changes since the champion was trained, or why they are not known."""
    release = context.ledger.releases.current(context.spec.name)
    if release is None or release.turn_id is None:
        reason = "there is no champion that a turn of this ledger has trained"
        return CodeSignal(status="not_enough", reason=reason)
    run_id = model_registry.model_version(context.mlflow, context.spec.name, release.version).run_id
    return read_code(context, context.ledger.turns.get(release.turn_id), run_id)
