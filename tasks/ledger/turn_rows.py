"""The rows of the turns table: find, insert, resume, change and read them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, func, select

from everfit.blocks.errors import LedgerError
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger.chain import insert_row, update_row
from everfit.tasks.ledger.leases import check_fence
from everfit.tasks.ledger.records import AWAITING_APPROVAL, FAILED, ON_TRIAL, RUNNING, Turn
from everfit.tasks.ledger.schema import turns


@dataclass(frozen=True)
class NewTurn:
    """A turn that begins or is about to begin.

    Attributes:
        model: Name of the model.
        trigger: Why the turn is run.
        window: The span of event time that the turn covers.
        at: The ledger's time.
    """

    model: str
    trigger: Trigger
    window: Window
    at: datetime

    @property
    def id(self) -> str:
        """The id that the trigger gives the turn."""
        return self.trigger.turn_id(self.model, self.window.until)


def check_turn_fence(connection: Connection, turn: Turn) -> None:
    """Refuse a write of a turn whose lease another process has taken over."""
    if turn.fence is not None:
        check_fence(connection, turn.model, "turn", turn.fence)


def check_turn(connection: Connection, turn: Turn) -> None:
    """Refuse to act for a turn that another process has taken over, or that is unknown.

    Raises:
        BusyError: The turn's lease is no longer held.
        LedgerError: The turn is unknown.
    """
    if not turn_in(connection, turn.id).settled:
        check_turn_fence(connection, turn)


def insert_turn(connection: Connection, turn: NewTurn, **begun: Any) -> None:
    """Insert the row of a turn that begins or is about to begin.

    Args:
        connection: A write transaction of the model.
        turn: The turn.
        **begun: Its attempt, fence, spec digest and code version.
    """
    last = connection.execute(select(func.max(turns.c.seq)).where(turns.c.model == turn.model)).scalar()
    insert_row(
        connection,
        turns,
        {
            "id": turn.id,
            "model": turn.model,
            "seq": (last or 0) + 1,
            "trigger_kind": turn.trigger.kind,
            "trigger_reason": turn.trigger.reason,
            "trigger_id": turn.trigger.id,
            "since": turn.window.since,
            "until": turn.window.until,
            "state": RUNNING,
            "reasons": [],
            "record": {},
            "started_at": turn.at,
            **begun,
        },
    )


def resume_turn(connection: Connection, turn: NewTurn, **begun: Any) -> None:
    """Mark the row of an interrupted turn as running again.

    Args:
        connection: A write transaction of the model.
        turn: The turn.
        **begun: The changed columns: the fence, which is None until the turn runs, and others.
    """
    change = {"state": RUNNING, "error": None, "finished_at": None, "started_at": turn.at, "record": {}, **begun}
    update_row(connection, turns, turn.model, {"id": turn.id}, change)


def begin_turn(connection: Connection, turn: NewTurn, fence: int | None, **begun: Any) -> Turn:
    """Insert the row of a turn, mark an unfinished one as running again, or return a settled one unchanged.

    Args:
        connection: A write transaction of the model.
        turn: The turn.
        fence: Token of the turn's lease; None without a lease, which resumes only a failed turn.
        **begun: Its spec digest and code version.
    """
    earlier = find_turn(connection, turn.id)
    if earlier is None:
        insert_turn(connection, turn, attempt=1, fence=fence, **begun)
    elif earlier.settled:
        return earlier
    elif fence is not None or earlier.state == FAILED:
        again = {"attempt": earlier.attempt + 1, "since": turn.window.since, "fence": fence}
        resume_turn(connection, turn, **again, **begun)
    return turn_in(connection, turn.id)


def keep_parts(connection: Connection, turn: Turn, parts: Mapping[str, Any]) -> None:
    """Add parts to the record of a running turn.

    Raises:
        BusyError: Another process has taken the turn over.
        LedgerError: The turn is settled.
    """
    present = turn_in(connection, turn.id)
    if present.settled:
        raise LedgerError(f"turn {turn.id!r} ended as {present.state!r}, so nothing can be added to its record")
    check_turn_fence(connection, turn)
    update_row(connection, turns, turn.model, {"id": turn.id}, {"record": {**present.record, **parts}})


def fail_turn(connection: Connection, turn: Turn, error: str, now: datetime) -> Turn:
    """Mark the row of a turn as failed.

    Raises:
        BusyError: Another process has taken the turn over.
        LedgerError: The turn is settled.
    """
    if turn_in(connection, turn.id).settled:
        raise LedgerError(f"turn {turn.id!r} is settled and can no longer fail ({error})")
    check_turn_fence(connection, turn)
    change = {"state": FAILED, "error": error.replace("\x00", "\ufffd"), "finished_at": now}
    update_row(connection, turns, turn.model, {"id": turn.id}, change)
    return turn_in(connection, turn.id)


def settle_turn(connection: Connection, turn: Turn, change: Mapping[str, Any]) -> Turn:
    """Settle the row of a turn, or return it unchanged if it is settled with the same state and verdict.

    Args:
        connection: A write transaction of the model.
        turn: The turn; its fence is checked unless it is settled.
        change: The columns to write, among them `state` and `verdict`.

    Raises:
        BusyError: Another process has taken the turn over.
        LedgerError: The turn was settled with another state or verdict.
    """
    present, state, verdict = turn_in(connection, turn.id), change["state"], change["verdict"]
    if present.settled and (present.state == state or present.state not in {AWAITING_APPROVAL, ON_TRIAL}):
        if (present.state, present.verdict) == (state, verdict):
            return present
        raise LedgerError(
            f"turn {turn.id!r} is settled as {present.state!r} ({present.verdict}) and can't become {state!r} "
            f"({verdict}); start a new turn by another trigger"
        )
    if not present.settled:
        check_turn_fence(connection, turn)
    update_row(connection, turns, turn.model, {"id": turn.id}, change)
    return turn_in(connection, turn.id)


def find_turn(connection: Connection, turn_id: str) -> Turn | None:
    """Return the turn of that id, or None."""
    row = connection.execute(select(turns).where(turns.c.id == turn_id)).mappings().first()
    return None if row is None else turn_of(row)


def turn_in(connection: Connection, turn_id: str) -> Turn:
    """Return the turn of that id.

    Raises:
        LedgerError: There is no such turn.
    """
    turn = find_turn(connection, turn_id)
    if turn is None:
        raise LedgerError(f"there is no turn {turn_id!r} in the ledger; `everfit history MODEL` lists the turns")
    return turn


def brief_turn_of(row: Mapping[str, Any] | RowMapping) -> Turn:
    """Return the turn of a row that has the processor time in the place of the record."""
    values = dict(row)
    used = values.pop("processor_seconds")
    return turn_of(values | {"record": {} if used is None else {"processor_seconds": used}})


def turn_of(row: RowMapping | Mapping[str, Any]) -> Turn:
    """Return the turn of a row."""
    values: dict[str, Any] = dict(row)
    trigger = {name: values.pop(f"trigger_{name}") for name in ("kind", "reason", "id")}
    window = {name: values.pop(name) for name in ("since", "until")}
    return Turn.recall(values | {"trigger": trigger, "window": window})
