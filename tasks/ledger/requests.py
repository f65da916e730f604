"""Requests for turns: one of many concurrent callers starts a turn; the others see that it is under way."""

from datetime import datetime, timedelta
from typing import Protocol

from everfit.tasks.core.records import Record
from everfit.tasks.ledger.leases import is_held
from everfit.tasks.ledger.records import FAILED, RUNNING, Lease, Turn

START_TIMEOUT = timedelta(hours=1)
"""A requested turn that has not begun after this time may be requested again."""


class Admitted(Protocol):
    """Whether a requested turn may start, and why."""

    @property
    def admitted(self) -> bool:
        """Whether the turn may start."""

    @property
    def reason(self) -> str:
        """Why, or why not."""


class RequestOutcome(Record):
    """The outcome of a request for a turn.

    Attributes:
        turn_id: The turn of the trigger, whoever requested it first; None if the request was refused.
        start: Whether the caller has to start it.
        reason: Why it may or may not start.
    """

    turn_id: str | None
    start: bool
    reason: str


def failed_attempt(turn: Turn | None) -> int | None:
    """Return the number of the attempt that failed, or None where the turn has not failed."""
    return turn.attempt if turn is not None and turn.state == FAILED else None


def observe(turn: Turn, lease: Lease | None, now: datetime) -> Turn:
    """Return a turn as `failed` if it says that it runs, but its process died or never began."""
    if turn.state != RUNNING:
        return turn
    alive = lease is not None and lease.turn_id == turn.id and is_held(lease, now)
    waiting = turn.fence is None and now - turn.started_at < START_TIMEOUT  # requested, not begun
    if alive or waiting:
        return turn
    never = "it was requested and has not begun: does a worker run?"
    return turn.model_copy(update={"state": FAILED, "error": never if turn.fence is None else "its process died"})
