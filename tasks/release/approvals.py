"""What is done about turns that wait for approval: answered, expired, or overtaken by another champion.

The first outcome that the ledger records stands; the rest (release, tags, the turn's final state) follows from it, and
is done by whoever comes next if a crash left it undone.
"""

from datetime import datetime

from everfit.tasks.core.records import ModelVersion
from everfit.tasks.ledger import Release, Turn
from everfit.tasks.registry import model_registry
from everfit.tasks.release import release as releasing
from everfit.tasks.release.approval import APPROVAL, Answer, Approval, ApprovalError, Request, answer, lapse, waited
from everfit.tasks.release.traffic import trials
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.context import Context

_STATES = {
    "approve": turn_record.PROMOTED,
    "reject": turn_record.REJECTED,
    "expired": turn_record.REJECTED,
    "superseded": turn_record.SUPERSEDED,
}
_DONE = {"approve": "approved", "reject": "rejected"}


def decide(context: Context, turn_id: str, said: Answer, *, by: str, why: str, now: datetime) -> Turn:
    """Approve or reject the challenger of a turn that waits.

    Args:
        context: The model.
        turn_id: The turn.
        said: Approve or reject.
        by: Who decides.
        why: In words.
        now: The present, which requests expire by.

    Returns:
        The turn as it ended: `Promoted`, `OnTrial` where the spec has approved challengers tried first, or `Rejected`.

    Raises:
        ApprovalError: there is no name or reason, or the turn is another model's, waits for nobody, or was decided.
        LedgerError: the turn is unknown, somebody else answered otherwise at this moment, or the champion changed.
        ModelError: the approved version isn't served and was taken back; the turn waits on, and may be approved again.
    """
    request_in(context, turn_id)
    reconcile(context, now)
    request, current = request_in(context, turn_id), context.ledger.releases.current(context.spec.name)
    if lapsed := lapse(request, None if current is None else current.version, now):
        raise ApprovalError(f"turn {turn_id!r} can't be decided any more: {lapsed.why}")
    approval = _record(context, answer(request, said, by, why))
    return _carry_out(context, approval, approval, current)


def reconcile(context: Context, now: datetime) -> list[str]:
    """What a turn and an answer begin with: releases and alias put right, and ended what waits no more.

    Args:
        context: The model.
        now: The present, which requests expire by.

    Returns:
        What was done, in words.
    """
    spec = context.spec
    done = releasing.reconcile(context.ledger, context.mlflow, spec.name, policy=spec.release) + trials.settle(context)
    return done + [f"turn {turn.id} ended as {turn.state}: {turn.reasons[0]}" for turn in settle(context, now)]


def settle(context: Context, now: datetime) -> list[Turn]:
    """End what waits no more: expired, overtaken by another champion, or decided and then broken off by a crash.

    The release of an approved version that was not served is not tried again here; approving it once more does that.

    Args:
        context: The model.
        now: The present, which requests expire by.

    Returns:
        The turns that were ended.
    """
    ended = []
    for turn in context.ledger.turns.of(context.spec.name, state=turn_record.AWAITING_APPROVAL):
        current = context.ledger.releases.current(context.spec.name)
        lapsed = lapse(_request(context, turn), None if current is None else current.version, now)
        approval = recorded(context, turn.id)
        if approval is None:
            if lapsed is None:
                continue
            approval = outcome = _record(context, lapsed)
        else:
            outcome = approval
            if approval.outcome == "approve" and context.ledger.releases.of_turn(turn.id) is None:
                undone = _was_undone(context, turn.id)
                if lapsed is not None and (undone or lapsed.outcome == "superseded"):
                    outcome = lapsed
                elif undone:
                    continue
        ended.append(_carry_out(context, approval, outcome, current))
    return ended


def request_in(context: Context, turn_id: str) -> Request:
    """What a turn that waits asks for.

    Raises:
        ApprovalError: it is another model's, or waits for nobody.
        LedgerError: it is unknown.
    """
    turn = context.ledger.turns.get(turn_id)
    if turn.model != context.spec.name:
        raise ApprovalError(f"turn {turn_id!r} is of the model {turn.model!r} and not of {context.spec.name!r}")
    if turn.state != turn_record.AWAITING_APPROVAL:
        told = f"{turn.state}: {turn.reasons[0]}" if turn.reasons else turn.state
        raise ApprovalError(f"turn {turn.id!r} waits for no approval ({told})")
    return _request(context, turn)


def _request(context: Context, turn: Turn) -> Request:
    assert turn.finished_at is not None  # noqa: S101 - it ended as one that waits
    version = ModelVersion.recall(turn.record["version"])
    return Request(
        model=turn.model,
        turn_id=turn.id,
        version=version.version,
        run_id=version.run_id,
        champion_version=turn.record["evidence"]["champion_version"],
        headline=turn.reasons[0],
        asked_at=turn.finished_at,
        expires_at=turn.finished_at + context.spec.gate.approval_expires,
    )


def recorded(context: Context, turn_id: str) -> Approval | None:
    """What a turn's request came to, if it did."""
    found = context.ledger.decisions.find(_decision_id(turn_id))
    return None if found is None else Approval.recall(found.record)


def _record(context: Context, approval: Approval) -> Approval:
    """The outcome that stands: this one, or the same as somebody else recorded it before."""
    request = approval.request
    decision = context.ledger.decisions.record(
        _decision_id(request.turn_id),
        model=request.model,
        kind=APPROVAL,
        verdict=approval.outcome,
        reasons=(approval.headline,),
        record=approval,
        turn_id=request.turn_id,
    )
    return Approval.recall(decision.record)


def _decision_id(turn_id: str) -> str:
    return f"{turn_id}/approval"


def _carry_out(context: Context, approval: Approval, outcome: Approval, current: Release | None) -> Turn:
    """Do what was decided, whatever of it is done already.

    Args:
        context: The model.
        approval: What was decided.
        outcome: What that comes to: the same, unless an approval comes too late.
        current: The release that it was decided on.
    """
    request, ledger = approval.request, context.ledger
    turn, state = ledger.turns.get(request.turn_id), _STATES[outcome.outcome]
    if outcome.outcome == "approve" and current is not None and trials.wanted(context.spec, current):
        answered = ledger.decisions.find(_decision_id(turn.id))
        assert answered is not None  # noqa: S101 - it was recorded just before
        trials.begin(context, turn, request.version, current, waited=waited(answered))
        state = turn_record.ON_TRIAL
    elif outcome.outcome == "approve":
        releasing.release(
            ledger,
            context.mlflow,
            request.model,
            request.version,
            expected_previous=None if current is None else current.seq,
            reason=approval.headline,
            actor=approval.by,
            turn=turn,
            policy=context.spec.release,
        )
    else:
        _withdraw(context, request.version)
    _tag(context, approval, outcome)
    return ledger.turns.finish(
        turn,
        state=state,
        verdict=turn.verdict,
        reasons=tuple(dict.fromkeys((outcome.headline, approval.headline, *turn.reasons))),
        record=turn.record,
        seconds=turn.seconds,
    )


def _withdraw(context: Context, version: int) -> None:
    """It wants the champion's place no more."""
    challenger = model_registry.challenger(context.mlflow, context.spec.name)
    if challenger is not None and challenger.version == version:
        model_registry.set_alias(context.mlflow, context.spec.name, model_registry.CHALLENGER, None)


def _tag(context: Context, approval: Approval, outcome: Approval) -> None:
    model, version = approval.request.model, approval.request.version
    if version not in model_registry.versions(context.mlflow, model):
        return  # deleted while it waited
    tags = {"everfit.approval": outcome.outcome, "everfit.approval_reason": outcome.why}
    if approval.outcome in _DONE:
        tags[f"everfit.{_DONE[approval.outcome]}_by"] = approval.by
    for name, value in tags.items():
        model_registry.set_version_tag(context.mlflow, model, version, name, value)


def _was_undone(context: Context, turn_id: str) -> bool:
    """Whether the approved version was released and taken back, as it was not what is served."""
    own = [entry for entry in context.ledger.releases.of(context.spec.name) if entry.turn_id == turn_id]
    return bool(own) and own[-1].state == "undone"
