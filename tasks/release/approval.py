"""Approval: what a challenger waits for when a person decides, and what its request comes to. Pure."""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, Field

from everfit.blocks.errors import EverfitError
from everfit.tasks.core.records import Record
from everfit.tasks.ledger.records import Decision

APPROVAL = "approval"
"""Kind of the decisions that are made here."""

Answer = Literal["approve", "reject"]
"""What a person may say."""

Outcome = Literal["approve", "reject", "expired", "superseded"]

EVERFIT = "everfit"
"""Who decides when nobody did."""


class ApprovalError(EverfitError):
    """The turn has nothing to approve, or was decided already; nothing was changed."""


class Request(Record):
    """A challenger that passed the gate and waits for a person."""

    model: str
    turn_id: str
    version: int = Field(description="The challenger.")
    run_id: str = Field(description="MLflow run with the evidence.")
    champion_version: int | None = Field(description="What it was compared with; none before the first champion.")
    headline: str = Field(description="Why it waits, and what it has shown.")
    asked_at: AwareDatetime
    expires_at: AwareDatetime


class Approval(Record):
    """What a request came to, by whom and why."""

    outcome: Outcome
    by: str
    why: str
    request: Request

    @property
    def headline(self) -> str:
        """The first of the turn's reasons."""
        done = {"approve": "Approved", "reject": "Rejected", "expired": "Rejected", "superseded": "Superseded"}
        return f"{done[self.outcome]} by {self.by}: {self.why}"


def answer(request: Request, said: Answer, by: str, why: str) -> Approval:
    """What a person says of a request.

    Args:
        request: What waits.
        said: Approve or reject.
        by: The person's name.
        why: In words.

    Raises:
        ApprovalError: there is no name or no reason.
    """
    by, why = check_told(by, why)
    return Approval(outcome=said, by=by, why=why, request=request)


def check_told(by: str, why: str) -> tuple[str, str]:
    """Name and reason without blanks around them.

    Raises:
        ApprovalError: one of them is empty.
    """
    by, why = by.strip(), why.strip()
    for name, given in (("name", by), ("reason", why)):
        if not given:
            raise ApprovalError(f"the {name} is empty; whoever reads the history wants to know who decided, and why")
    return by, why


def lapse(request: Request, champion_version: int | None, now: datetime) -> Approval | None:
    """What a request comes to by itself, or none while it may still be answered.

    Args:
        request: What waits.
        champion_version: The champion at present.
        now: The present.
    """
    if why := overtaken(request.champion_version, champion_version):
        return Approval(outcome="superseded", by=EVERFIT, why=why, request=request)
    if now >= request.expires_at:
        why = f"nobody's decision was carried out before {request.expires_at:%Y-%m-%d %H:%M} UTC"
        return Approval(outcome="expired", by=EVERFIT, why=why, request=request)
    return None


def waited(decision: Decision) -> timedelta:
    """How long an answer was waited for: so long after the turn it counts, in event time.

    Args:
        decision: What the ledger has of it.
    """
    return max(decision.at - Approval.recall(decision.record).request.asked_at, timedelta(0))


def overtaken(compared: int | None, champion: int | None) -> str:
    """Why a comparison with a champion is worthless by now, in words; nothing while it still is the champion.

    Args:
        compared: The champion that the challenger was compared with.
        champion: The champion at present.
    """
    if champion == compared:
        return ""
    was = "there was no champion" if compared is None else f"the champion was version {compared}"
    present = "there is none" if champion is None else f"it is version {champion}"
    return f"when the challenger was judged {was}, and now {present}; a new turn compares anew"
