"""Calls for turns: of many who want one at once, one gets it, and the others see that it is on its way."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import func, insert, select, update

from everfit.tasks.ledger.entries import FAILED, RUNNING, Lease, Turn
from everfit.tasks.ledger.leases import is_held, read_lease
from everfit.tasks.ledger.releases import Releases
from everfit.tasks.ledger.schema import turns
from everfit.tasks.ledger.turns import turn_of
from everfit.tasks.records import Record, Trigger, Window

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
            may_start: Decides from the model's turns; those that died or never began count as failed.
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
            answer = may_start([turn for turn in known if turn.id != turn_id])
            if not answer.admitted:
                return Call(turn_id=None, start=False, reason=answer.reason)
            if found is not None:
                again = update(turns).where(turns.c.id == turn_id)
                change = {"state": RUNNING, "error": None, "finished_at": None, "started_at": now, "fence": None}
                connection.execute(again.values(**change))
                return Call(turn_id=turn_id, start=True, reason="taken up again")
            last = connection.execute(select(func.max(turns.c.seq)).where(turns.c.model == model)).scalar()
            connection.execute(
                insert(turns).values(
                    id=turn_id,
                    model=model,
                    seq=(last or 0) + 1,
                    trigger_kind=trigger.kind,
                    trigger_reason=trigger.reason,
                    trigger_id=trigger.id,
                    since=window.since,
                    until=window.until,
                    state=RUNNING,
                    reasons=[],
                    record={},
                    spec_digest="",
                    code_version="",
                    attempt=0,  # none has begun
                    started_at=now,
                )
            )
            return Call(turn_id=turn_id, start=True, reason=answer.reason)

    def turns_as_seen(self, model: str) -> list[Turn]:
        """The turns of a model, oldest first; one that died while it ran, or never began, is `failed`."""
        with self.read() as connection:
            now, lease = self.now(connection), read_lease(connection, model, "turn")
            rows = connection.execute(select(turns).where(turns.c.model == model).order_by(turns.c.seq)).mappings()
            return [as_seen(turn_of(row), lease, now) for row in rows]


def as_seen(turn: Turn, lease: Lease | None, now: datetime) -> Turn:
    """A turn that says it is running, and whose runner is dead, has failed."""
    if turn.state != RUNNING:
        return turn
    alive = lease is not None and lease.turn_id == turn.id and is_held(lease, now)
    waiting = turn.fence is None and now - turn.started_at < ON_ITS_WAY  # called for, not begun
    return turn if alive or waiting else turn.model_copy(update={"state": FAILED, "error": "its process died"})
