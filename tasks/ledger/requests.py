"""Calls for turns: of many who want one at once, one gets it, and the others see that it is on its way."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from time import monotonic, sleep
from typing import Protocol

from sqlalchemy import select

from everfit.blocks.errors import LedgerError
from everfit.tasks.core.records import Record, Trigger, Window
from everfit.tasks.ledger.leases import SPAN, HeldLease, LeaseHeldError, is_held, pauses, read_lease
from everfit.tasks.ledger.process_identity import this_process
from everfit.tasks.ledger.records import FAILED, RUNNING, Lease, Turn
from everfit.tasks.ledger.releases import Releases
from everfit.tasks.ledger.schema import turns
from everfit.tasks.ledger.turns import insert_turn, resume_turn, turn_of

logger = logging.getLogger("everfit.ledger")

ON_ITS_WAY = timedelta(hours=1)
"""A turn that was called for and hasn't begun after that long is called for again."""


class Answer(Protocol):
    """What is said to who wants a turn."""

    @property
    def admitted(self) -> bool:
        """Whether the turn may start."""

    @property
    def reason(self) -> str:
        """Why, or why not."""


class Call(Record):
    """What came of a call for a turn.

    Attributes:
        turn_id: The turn of the trigger, whoever called for it first; none if it was refused.
        start: Whether the caller is the one to start it.
        reason: In words.
    """

    turn_id: str | None
    start: bool
    reason: str


class Calls(Releases):
    """The part of the ledger that turns a call into a turn, once."""

    def call_turn(
        self,
        model: str,
        trigger: Trigger,
        window: Window,
        *,
        may_start: Callable[[Sequence[Turn]], Answer],
    ) -> Call:
        """Reserve the turn of a trigger for the caller to start.

        Looking at the turns there are, deciding and reserving are one transaction.

        Args:
            model: Name of the model.
            trigger: Why the turn is wanted; with `window.until` it names the turn.
            window: The span of event time that it is about.
            may_start: Decides from the model's turns, this one too if it has failed; those that died or never began
                count as failed.
        """
        turn_id = trigger.turn_id(model, window.until)
        with self.write(model) as connection:
            now = self.now(connection)
            lease = read_lease(connection, model, "turn")
            rows = connection.execute(select(turns).where(turns.c.model == model).order_by(turns.c.seq)).mappings()
            known = [as_seen(turn_of(row), lease, now) for row in rows]
            found = next((turn for turn in known if turn.id == turn_id), None)
            if found is not None and found.state != FAILED:
                return Call(turn_id=turn_id, start=False, reason=f"turn {turn_id} was called for already")
            answer = may_start(known)
            if not answer.admitted:
                return Call(turn_id=None, start=False, reason=answer.reason)
            if found is not None:
                resume_turn(connection, turn_id, now, fence=None)
                return Call(turn_id=turn_id, start=True, reason="taken up again")
            begun = {"spec_digest": "", "code_version": "", "attempt": 0}  # none has begun
            insert_turn(connection, model, trigger, window, now, **begun)
            return Call(turn_id=turn_id, start=True, reason=answer.reason)

    @contextmanager
    def start_turn(
        self, model: str, turn_id: str, *, wait: timedelta = timedelta(hours=6), span: timedelta = SPAN
    ) -> Iterator[Turn | None]:
        """Be the one who starts a turn, or wait for who is at it: of many callers only one needs more than the ledger.

        Args:
            model: Name of the model.
            turn_id: The turn.
            wait: How long to wait for another process that is at the same turn.
            span: How long the start is reserved without a beat.

        Yields:
            The turn as it has ended, whoever ran it; or none, and then the body is to run it.

        Raises:
            BusyError: another turn of the model is being run or started.
            LedgerError: the process that was waited for has failed at the turn.
        """
        give_up, waited_for = monotonic() + wait.total_seconds(), ""
        failed_before = _failed_attempt(self.find_turn(turn_id))

        def ended() -> Turn | None:
            found = self.find_turn(turn_id)
            if _failed_attempt(found) not in {None, failed_before}:
                assert found is not None  # noqa: S101 - it has failed
                by = waited_for or "another process"
                raise LedgerError(
                    f"turn {turn_id!r} failed where {by} ran it: {found.error}; mend that, and run it again"
                )
            if found is None or not found.settled:
                return None
            logger.info("turn %s was run by %s", turn_id, waited_for or "an earlier call")
            return found

        for pause in pauses(longest=3.0):
            if found := ended():
                yield found
                return
            try:
                taken = self._take(model, "start", this_process(), turn_id, span)
            except LeaseHeldError as busy:
                if busy.lease.turn_id != turn_id or monotonic() >= give_up:
                    raise
                if not waited_for:
                    logger.info("waiting for %s, who is at turn %s", busy.lease.holder, turn_id)
                waited_for = busy.lease.holder or "another process"
                sleep(pause)
                continue
            with HeldLease(self, taken, span):
                yield ended()  # which it may have between the look and the lease
            return

    def turns_as_seen(self, model: str) -> list[Turn]:
        """The turns of a model, oldest first; one that died while it ran, or never began, is `failed`."""
        with self.read() as connection:
            now, lease = self.now(connection), read_lease(connection, model, "turn")
            rows = connection.execute(select(turns).where(turns.c.model == model).order_by(turns.c.seq)).mappings()
            return [as_seen(turn_of(row), lease, now) for row in rows]


def _failed_attempt(turn: Turn | None) -> int | None:
    return turn.attempt if turn is not None and turn.state == FAILED else None


def as_seen(turn: Turn, lease: Lease | None, now: datetime) -> Turn:
    """A turn that says it is running, and whose runner is dead or has never come, has failed."""
    if turn.state != RUNNING:
        return turn
    alive = lease is not None and lease.turn_id == turn.id and is_held(lease, now)
    waiting = turn.fence is None and now - turn.started_at < ON_ITS_WAY  # called for, not begun
    if alive or waiting:
        return turn
    never = "it was called for and has not begun: does a worker run?"
    return turn.model_copy(update={"state": FAILED, "error": never if turn.fence is None else "its process died"})
