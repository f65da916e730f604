"""End a traffic trial: release or withdraw the challenger, and settle its turn. Safe to repeat."""

from everfit.tasks.ledger import Turn
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.version_card import add_outcome
from everfit.tasks.release import release as releasing
from everfit.tasks.release.approval import why_superseded
from everfit.tasks.release.traffic.traffic_split import write_split
from everfit.tasks.release.traffic.trial import TRIAL, TrialLook, TrialPlan, TrialState, superseded_look
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.context import Context


def finish_trial(context: Context, state: TrialState) -> tuple[Turn, str]:
    """Carry out the end of a trial, whatever state its turn is in.

    A turn that was interrupted before it was settled as `OnTrial` is not settled here, but by its next run.

    Args:
        context: The model.
        state: The trial.

    Returns:
        The turn, and the state in which it ended or will end.
    """
    plan, ledger = state.plan, context.ledger
    turn = ledger.turns.get(plan.id)
    if state.end is None:
        return turn, turn.state if turn.settled else turn_record.ON_TRIAL
    end = state.end
    if end.verdict == "release" and (
        not turn.settled or turn.state in {turn_record.ON_TRIAL, turn_record.AWAITING_APPROVAL}
    ):
        reason = _why_not_released(context, state, turn)
        if reason:
            end = superseded_look(reason)
    withdraw(context, plan)
    add_outcome(context.mlflow, plan.model, plan.challenger, f"Trial on live traffic: {end.verdict}, {end.reasons[0]}")
    if turn.state != turn_record.ON_TRIAL:
        return turn, turn.state if turn.settled else _state_of(end)
    turn = ledger.turns.finish(
        turn,
        state=_state_of(end),
        verdict=turn.verdict,
        reasons=tuple(dict.fromkeys((end.reasons[0], *turn.reasons))),
        record=turn.record,
        seconds=turn.seconds,
    )
    return turn, turn.state


def _state_of(end: TrialLook) -> str:
    if end.verdict == "release":
        return turn_record.PROMOTED
    return turn_record.SUPERSEDED if end.superseded else turn_record.RETURNED


def _why_not_released(context: Context, state: TrialState, turn: Turn) -> str:
    """Release the challenger; return why that is impossible, or an empty text."""
    plan, ledger, end = state.plan, context.ledger, state.end
    assert end is not None  # noqa: S101 - only an ended trial is released
    released = ledger.releases.of_turn(turn.id)
    if released is not None and released.state == "verified":
        return ""
    current = ledger.releases.current(plan.model)
    if released is None:
        if any(entry.turn_id == turn.id and entry.state == "undone" for entry in ledger.releases.of(plan.model)):
            return "it was released and rolled back, because the services did not serve it"
        reason = why_superseded(plan.champion, None if current is None else current.version)
        if reason:
            return reason
    releasing.release(
        ledger,
        context.mlflow,
        plan.model,
        plan.challenger,
        expected_previous=None if current is None else current.seq,
        reason=end.reasons[0],
        actor=TRIAL,
        turn=turn.model_copy(update={"fence": None}),  # the trial decides, whoever holds the turn's lease now
        policy=context.spec.release,
    )
    return ""


def withdraw(context: Context, plan: TrialPlan) -> None:
    """End the challenger's share of the traffic, and remove its alias.

    Args:
        context: The model.
        plan: The plan of the trial.
    """
    if plan.challenger not in model_registry.versions(context.mlflow, plan.model):
        return  # it was deleted meanwhile
    write_split(context.mlflow, plan.model, plan.challenger, None)
    challenger = model_registry.challenger(context.mlflow, plan.model)
    if challenger is not None and challenger.version == plan.challenger:
        model_registry.set_alias(context.mlflow, plan.model, model_registry.CHALLENGER, None)
