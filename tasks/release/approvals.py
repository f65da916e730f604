"""Carry out approvals: answered, expired, or superseded by another champion.

The first outcome that the ledger records is binding. The rest follows from it: the release, the tags and the turn's
final state. If a crash leaves some of it undone, the next caller completes it.
"""

import hashlib
from datetime import datetime

from everfit.tasks.core.people import Person
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.ledger import Release, Turn
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.version_card import add_outcome
from everfit.tasks.release import release as releasing
from everfit.tasks.release.approval import (
    APPROVAL,
    VOTE,
    Approval,
    ApprovalAnswer,
    ApprovalError,
    ApprovalRequest,
    Signature,
    answer_request,
    check_other_eyes,
    lapse,
    signature_of,
    waiting_time,
)
from everfit.tasks.release.approval_notice import follow_requests
from everfit.tasks.release.traffic import trials
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.entitlement import require_role
from everfit.tasks.turns.refusals import refusals_on_record

_STATES = {
    "approve": turn_record.PROMOTED,
    "decline": turn_record.DECLINED,
    "expired": turn_record.DECLINED,
    "superseded": turn_record.SUPERSEDED,
}
_DONE = {"approve": "approved", "decline": "declined"}


def decide_approval(
    context: Context, turn_id: str, answer: ApprovalAnswer, *, by: Person | str, reason: str, now: datetime
) -> Turn:
    """Approve or decline the challenger of a turn that waits.

    Args:
        context: The model.
        turn_id: The turn.
        answer: Approve or decline.
        by: The person who decides, or a name that is only stated.
        reason: Why.
        now: The present; requests that expired before it can't be answered.

    Returns:
        The turn as it ended: `Promoted`, `OnTrial` if the spec tries approved challengers on live traffic first, or
        `Declined`; or as it waits, if more people must approve.

    Raises:
        ApprovalError: The name or the reason is empty, or the turn belongs to another model, waits for no approval, or
            was decided before; or this person has started it, and others must approve it.
        RoleError: The person may not approve.
        LedgerError: The turn is unknown, somebody gave another answer at the same time, or the champion changed.
        ModelError: The approved version isn't served and was rolled back; the turn still waits and may be approved
            again.
    """
    request_in(context, turn_id)
    signature = signature_of(Person(name=by) if isinstance(by, str) else by, reason)
    reconcile(context, now)
    turn, earlier = context.ledger.turns.get(turn_id), recorded(context, turn_id)
    is_same = earlier is not None and earlier.outcome == answer and signature in earlier.signatures
    if is_same and turn.state == _STATES[answer]:
        return turn  # the same answer was interrupted, and has just been carried out
    request, current = request_in(context, turn_id), context.ledger.releases.current(context.spec.name)
    if lapsed := lapse(request, None if current is None else current.version, now):
        raise ApprovalError(f"turn {turn_id!r} can't be decided any more: {lapsed.reason}")
    require_role(context, "approve", signature.person, now)
    signatures: tuple[Signature, ...] = (signature,)
    if answer == "approve" and context.spec.gate.approvals > 1:
        started_by = str(context.ledger.turns.get(turn_id).record.get("started_by") or "")
        with refusals_on_record(context.ledger, context.spec.name, "approve", signature.person, now):
            check_other_eyes(started_by, context.spec.gate.approvals, signature.person)
        signatures = _vote(context, request, signature)
        if len(signatures) < context.spec.gate.approvals:
            return context.ledger.turns.get(turn_id)
    approval = _record(context, answer_request(request, answer, signatures))
    turn = _carry_out(context, approval, approval, current)
    follow_requests(context, now)
    return turn


def reconcile(context: Context, now: datetime) -> list[str]:
    """Repair interrupted releases and aliases, and end turns whose wait is over; each turn and answer begins with it.

    Args:
        context: The model.
        now: The present; requests that expired before it are ended.

    Returns:
        A sentence for each change.
    """
    spec = context.spec
    done = releasing.reconcile(context.ledger, context.mlflow, spec.name, policy=spec.release) + trials.repair_trials(
        context
    )
    return done + [
        f"turn {turn.id} ended as {turn.state}: {turn.reasons[0]}" for turn in expire_approvals(context, now)
    ]


def expire_approvals(context: Context, now: datetime) -> list[Turn]:
    """End turns whose wait is over: expired, superseded by another champion, or decided before a crash.

    An approved version that was not served is not released again here; approving it again does that.

    Args:
        context: The model.
        now: The present; requests that expired before it are ended.

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
    follow_requests(context, now)
    return ended


def request_in(context: Context, turn_id: str) -> ApprovalRequest:
    """Return the request of a turn that waits.

    Raises:
        ApprovalError: The turn belongs to another model, or waits for no approval.
        LedgerError: The turn is unknown.
    """
    turn = context.ledger.turns.get(turn_id)
    if turn.model != context.spec.name:
        raise ApprovalError(f"turn {turn_id!r} is of the model {turn.model!r} and not of {context.spec.name!r}")
    if turn.state != turn_record.AWAITING_APPROVAL:
        reason = f" ({turn.reasons[0]})" if turn.reasons else ""
        raise ApprovalError(
            f"turn {turn.id!r} doesn't wait for approval, its state is {turn.state!r}{reason}; "
            f"`everfit history {turn.model}` shows the state of each turn"
        )
    return _request(context, turn)


def _request(context: Context, turn: Turn) -> ApprovalRequest:
    assert turn.finished_at is not None  # noqa: S101 - it ended as one that waits
    version = ModelVersion.recall(turn.record["version"])
    # These two fields alone: an answer must be possible whatever form the rest of an earlier release's evidence has.
    evidence = turn.record["evidence"]
    compared = evidence.get("champion_version")
    return ApprovalRequest(
        model=turn.model,
        turn_id=turn.id,
        version=version.version,
        run_id=version.run_id,
        champion_version=evidence.get("replaces") if compared is None else compared,
        headline=turn.reasons[0],
        asked_at=turn.finished_at,
        expires_at=turn.finished_at + context.spec.gate.approval_expires,
    )


def votes(context: Context, turn_id: str) -> tuple[Signature, ...]:
    """Return the approvals that people have given of a turn that more than one must approve."""
    decisions = context.ledger.decisions.of(context.spec.name, turn_id=turn_id, kind=VOTE)
    return tuple(Signature.recall(decision.record) for decision in decisions)


def _vote(context: Context, request: ApprovalRequest, signature: Signature) -> tuple[Signature, ...]:
    """Record one person's approval, once, and return those of all people."""
    voter = hashlib.sha256(signature.person.counted.encode()).hexdigest()[:12]
    context.ledger.decisions.record(
        f"{_decision_id(request.turn_id)}/{voter}",
        model=request.model,
        kind=VOTE,
        verdict="approve",
        reasons=(f"Approved by {signature.person.signed}: {signature.reason}",),
        record=signature,
        turn_id=request.turn_id,
    )
    return votes(context, request.turn_id)


def recorded(context: Context, turn_id: str) -> Approval | None:
    """Return the recorded outcome of a turn's request, or None."""
    decision = context.ledger.decisions.find(_decision_id(turn_id))
    return None if decision is None else Approval.recall(decision.record)


def _record(context: Context, approval: Approval) -> Approval:
    """Record an outcome; return the binding one, which somebody may have recorded before."""
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
    """Do what was decided; safe to repeat.

    Args:
        context: The model.
        approval: The recorded decision.
        outcome: Its effect: the same, unless an approval comes too late.
        current: The newest release when it was decided.
    """
    request, ledger = approval.request, context.ledger
    turn, state = ledger.turns.get(request.turn_id), _STATES[outcome.outcome]
    if outcome.outcome == "approve" and current is not None and trials.needs_trial(context.spec, current):
        decision = ledger.decisions.find(_decision_id(turn.id))
        assert decision is not None  # noqa: S101 - it was recorded just before
        trials.begin(context, turn, request.version, current, waited=waiting_time(decision))
        state = turn_record.ON_TRIAL
    elif outcome.outcome == "approve":
        releasing.release(
            ledger,
            context.mlflow,
            request.model,
            request.version,
            expected_previous=None if current is None else current.seq,
            reason=approval.headline,
            actor=approval.signed,
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
    """Remove the challenger alias from the version."""
    challenger = model_registry.challenger(context.mlflow, context.spec.name)
    if challenger is not None and challenger.version == version:
        model_registry.set_alias(context.mlflow, context.spec.name, model_registry.CHALLENGER, None)


def _tag(context: Context, approval: Approval, outcome: Approval) -> None:
    model, version = approval.request.model, approval.request.version
    if version not in model_registry.versions(context.mlflow, model):
        return  # deleted while it waited
    tags = {"everfit.approval": outcome.outcome, "everfit.approval_reason": outcome.reason}
    if approval.outcome in _DONE:
        tags[f"everfit.{_DONE[approval.outcome]}_by"] = approval.signed
    for name, value in tags.items():
        model_registry.set_version_tag(context.mlflow, model, version, name, value)
    add_outcome(context.mlflow, model, version, outcome.headline)


def _was_undone(context: Context, turn_id: str) -> bool:
    """Return whether the approved version was released and then rolled back, because it was not served."""
    own = [entry for entry in context.ledger.releases.of(context.spec.name) if entry.turn_id == turn_id]
    return bool(own) and own[-1].state == "undone"
