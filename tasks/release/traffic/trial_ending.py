"""The end of a trial: the challenger is released or withdrawn, and its turn ends as that; safe to do again."""

from everfit.tasks.ledger import Turn
from everfit.tasks.registry import model_registry
from everfit.tasks.release import release as releasing
from everfit.tasks.release.approval import why_superseded
from everfit.tasks.release.traffic.traffic_split import write_arms
from everfit.tasks.release.traffic.trial import TRIAL, TrialLook, TrialPlan, TrialState, superseded_look
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.context import Context


def finish(context: Context, state: TrialState) -> tuple[Turn, str]:
    """Do what the end of a trial says, whatever of it is done already, and whatever became of its turn.

    A turn that was broken off before it ended as one on trial is not ended here: it ends when it is run again.

    Args:
        context: The model.
        state: The trial.

    Returns:
        The turn, and what it ended as, or will.
    """
    plan, ledger = state.plan, context.ledger
    turn = ledger.turns.get(plan.id)
    if state.end is None:
        return turn, turn.state if turn.settled else turn_record.ON_TRIAL
    end = state.end
    if end.verdict == "release" and (
        not turn.settled or turn.state in {turn_record.ON_TRIAL, turn_record.AWAITING_APPROVAL}
    ):
        why = _why_not_released(context, state, turn)
        if why:
            end = superseded_look(why)
    withdraw(context, plan)
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
    """Release the challenger; why that can't be, in words, if something came in between."""
    plan, ledger, end = state.plan, context.ledger, state.end
    assert end is not None  # noqa: S101 - only an ended trial is released
    made = ledger.releases.of_turn(turn.id)
    if made is not None and made.state == "verified":
        return ""
    current = ledger.releases.current(plan.model)
    if made is None:
        if any(entry.turn_id == turn.id and entry.state == "undone" for entry in ledger.releases.of(plan.model)):
            return "it was released and taken back, as it was not what the services answered with"
        why = why_superseded(plan.champion, None if current is None else current.version)
        if why:
            return why
    releasing.release(
        ledger,
        context.mlflow,
        plan.model,
        plan.challenger,
        expected_previous=None if current is None else current.seq,
        reason=end.reasons[0],
        actor=TRIAL,
        turn=turn.model_copy(update={"fence": None}),  # the trial decides, whoever holds the turn's lease by now
        policy=context.spec.release,
    )
    return ""


def withdraw(context: Context, plan: TrialPlan) -> None:
    """The challenger answers nobody any more, and wants no place.

    Args:
        context: The model.
        plan: The trial's.
    """
    if plan.challenger not in model_registry.versions(context.mlflow, plan.model):
        return  # deleted meanwhile
    write_arms(context.mlflow, plan.model, plan.challenger, None)
    challenger = model_registry.challenger(context.mlflow, plan.model)
    if challenger is not None and challenger.version == plan.challenger:
        model_registry.set_alias(context.mlflow, plan.model, model_registry.CHALLENGER, None)
