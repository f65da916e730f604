"""Approval: a challenger that waits for a person, and how its request ends. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, Field

from everfit.blocks.errors import EverfitError
from everfit.tasks.core.people import Person, RoleError
from everfit.tasks.core.records import Record
from everfit.tasks.ledger.records import Decision

APPROVAL, VOTE = "approval", "approval-vote"
"""Kinds of these decisions in the ledger: the outcome of a request, and one of several people's approvals."""
APPROVAL_SUBJECT = "approval "
"""The beginning of the subject of a request's incident; the turn's id follows."""

ApprovalAnswer = Literal["approve", "decline"]
"""The answers that a person can give."""

ApprovalOutcome = Literal["approve", "decline", "expired", "superseded"]

EVERFIT = "everfit"
"""The name on record where no person decided."""

_HEADLINES = {"approve": "Approved", "decline": "Declined", "expired": "Declined", "superseded": "Superseded"}


class ApprovalError(EverfitError):
    """The turn has nothing to approve, or was decided before; nothing was changed."""


class ApprovalRequest(Record):
    """A challenger that passed the gate and waits for a person."""

    model: str
    turn_id: str
    version: int = Field(description="The challenger.")
    run_id: str = Field(description="MLflow run with the evidence.")
    champion_version: int | None = Field(
        description="The champion that the challenger was compared with; None before the first champion."
    )
    headline: str = Field(description="Why it waits, and how it compares.")
    asked_at: AwareDatetime
    expires_at: AwareDatetime


class Signature(Record):
    """One person's answer to a request."""

    person: Person
    reason: str


class Approval(Record):
    """The end of a request: the outcome, who decided, and why.

    Attributes:
        signatures: The people who decided; empty where no person did, and in records of everfit 0.2 and before.
    """

    outcome: ApprovalOutcome
    by: str
    reason: str
    request: ApprovalRequest
    signatures: tuple[Signature, ...] = ()

    @property
    def signed(self) -> str:
        """The people who decided, with how their names are known."""
        return " and ".join(signature.person.signed for signature in self.signatures) or self.by

    @property
    def headline(self) -> str:
        """The first of the turn's reasons."""
        return f"{_HEADLINES[self.outcome]} by {self.signed}: {self.reason}"


def signature_of(person: Person, reason: str) -> Signature:
    """Return a person's signature.

    Args:
        person: The person who answers.
        reason: Why.

    Raises:
        ApprovalError: The name or the reason is empty.
    """
    name, reason = check_signature(person.name, reason)
    return Signature(person=person.model_copy(update={"name": name}), reason=reason)


def answer_request(request: ApprovalRequest, answer: ApprovalAnswer, signatures: Sequence[Signature]) -> Approval:
    """Return the approval that people's answers make of a request.

    Args:
        request: The request that waits.
        answer: Approve or decline.
        signatures: The people who answered so, at least one.
    """
    return Approval(
        outcome=answer,
        by=", ".join(signature.person.name for signature in signatures),
        reason="; ".join(dict.fromkeys(signature.reason for signature in signatures)),
        request=request,
        signatures=tuple(signatures),
    )


def check_other_eyes(started_by: str, approvals: int, person: Person) -> None:
    """Refuse the approval of the person who started the turn, where more than one must approve.

    Args:
        started_by: Name of the person who started the turn, as it is recorded; empty if no person did.
        approvals: How many people must approve.
        person: The person who approves.

    Raises:
        RoleError: The same person started the turn.
    """
    names = {person.counted, person.name.strip().casefold()}
    if approvals > 1 and started_by and started_by.strip().casefold() in names:
        raise RoleError(
            f"{person.signed} started this turn, so {approvals} other people must approve it (gate.approvals); "
            "ask somebody else"
        )


def check_signature(by: str, reason: str) -> tuple[str, str]:
    """Return the name and the reason without blanks around them.

    Raises:
        ApprovalError: One of them is empty.
    """
    by, reason = by.strip(), reason.strip()
    for name, text in (("name", by), ("reason", reason)):
        if not text:
            raise ApprovalError(f"the {name} is empty; give it, as the history shows who decided and why")
    return by, reason


def lapse(request: ApprovalRequest, champion_version: int | None, now: datetime) -> Approval | None:
    """Return how a request has ended without an answer, or None while it may be answered.

    Args:
        request: The request that waits.
        champion_version: The present champion.
        now: The present.
    """
    if reason := why_superseded(request.champion_version, champion_version):
        return Approval(outcome="superseded", by=EVERFIT, reason=reason, request=request)
    if now >= request.expires_at:
        reason = f"no decision was carried out before {request.expires_at:%Y-%m-%d %H:%M} UTC"
        return Approval(outcome="expired", by=EVERFIT, reason=reason, request=request)
    return None


def waiting_time(decision: Decision) -> timedelta:
    """Return how long a request waited for its outcome.

    Args:
        decision: The approval, as the ledger has it.
    """
    return max(decision.at - Approval.recall(decision.record).request.asked_at, timedelta(0))


def why_superseded(compared: int | None, champion: int | None) -> str:
    """Return why a comparison with a champion no longer counts; empty while that champion is in place.

    Args:
        compared: The champion that the challenger was compared with.
        champion: The present champion.
    """
    if champion == compared:
        return ""
    earlier = "there was no champion" if compared is None else f"the champion was version {compared}"
    present = "there is none" if champion is None else f"it is version {champion}"
    return f"when the challenger was judged {earlier}, and now {present}; start a new turn to compare them"
