"""Requests for turns: one of many concurrent callers starts a turn; the others see that it is under way."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection, select

from everfit.blocks.errors import LedgerError
from everfit.tasks.core.records import Record
from everfit.tasks.ledger.holder_watch import looks_held
from everfit.tasks.ledger.leases import read_lease
from everfit.tasks.ledger.records import FAILED, RUNNING, Lease, Turn
from everfit.tasks.ledger.schema import turns
from everfit.tasks.ledger.turn_rows import NewTurn, insert_turn, resume_turn, turn_of

logger = logging.getLogger("everfit.ledger")

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


def settled_elsewhere(turn: Turn | None, failed_before: int | None, runner: str) -> Turn | None:
    """Return a turn that another process has settled, or None if it is to be run.

    Args:
        turn: The turn, as the ledger has it now.
        failed_before: The attempt that had failed before this call, or None.
        runner: The process that this call waited for; empty if it didn't wait.

    Raises:
        LedgerError: The turn has failed in that process meanwhile.
    """
    if turn is not None and failed_attempt(turn) not in {None, failed_before}:
        raise LedgerError(
            f"turn {turn.id!r} failed where {runner or 'another process'} ran it: {turn.error}; "
            "fix the cause and run it again"
        )
    if turn is None or not turn.settled:
        return None
    logger.info("turn %s was run by %s", turn.id, runner or "an earlier call")
    return turn


def observe(turn: Turn, lease: Lease | None, now: datetime) -> Turn:
    """Return a turn as `failed` if it says that it runs, but its process died or never began."""
    if turn.state != RUNNING:
        return turn
    alive = lease is not None and lease.turn_id == turn.id and looks_held(lease, now)
    waiting = turn.fence is None and now - turn.started_at < START_TIMEOUT  # requested, not begun
    if alive or waiting:
        return turn
    never = "it was requested and has not begun: does a worker run?"
    return turn.model_copy(update={"state": FAILED, "error": never if turn.fence is None else "its process died"})


def observed_turns(connection: Connection, model: str, now: datetime) -> list[Turn]:
    """Return the turns of a model, oldest first, as `observe` returns each."""
    lease = read_lease(connection, model, "turn")
    rows = connection.execute(select(turns).where(turns.c.model == model).order_by(turns.c.seq)).mappings()
    return [observe(turn_of(row), lease, now) for row in rows]


def reserve_turn(
    connection: Connection, turn: NewTurn, may_start: Callable[[Sequence[Turn]], Admitted]
) -> RequestOutcome:
    """Reserve the turn of a trigger, unless it was requested before or may not start.

    Args:
        connection: A write transaction of the model.
        turn: The requested turn.
        may_start: Decides from the model's turns.
    """
    known = observed_turns(connection, turn.model, turn.at)
    earlier = next((other for other in known if other.id == turn.id), None)
    if earlier is not None and earlier.state != FAILED:
        return RequestOutcome(turn_id=turn.id, start=False, reason=f"turn {turn.id} was requested before")
    answer = may_start(known)
    if not answer.admitted:
        return RequestOutcome(turn_id=None, start=False, reason=answer.reason)
    if earlier is not None:
        resume_turn(connection, turn, fence=None)
        return RequestOutcome(turn_id=turn.id, start=True, reason="it failed and is run again")
    begun = {"spec_digest": "", "code_version": "", "attempt": 0}  # no attempt has begun
    insert_turn(connection, turn, **begun)
    return RequestOutcome(turn_id=turn.id, start=True, reason=answer.reason)
