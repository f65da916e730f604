"""Turns: what was run, once each."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from time import monotonic, sleep
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from everfit.blocks.errors import EverfitError, LedgerError
from everfit.tasks.core.records import Record, Trigger, Window
from everfit.tasks.ledger.leases import SPAN, HeldLease, LeaseHeldError, Leases, check_fence, pauses
from everfit.tasks.ledger.process_identity import this_process
from everfit.tasks.ledger.records import AWAITING_APPROVAL, FAILED, ON_TRIAL, RUNNING, Turn
from everfit.tasks.ledger.schema import turns


class Turns(Leases):
    """The part of the ledger that keeps turns."""

    @contextmanager
    def take_turn(
        self,
        model: str,
        trigger: Trigger,
        window: Window,
        *,
        spec_digest: str = "",
        code_version: str = "",
        holder: str | None = None,
        wait: timedelta = timedelta(hours=6),
        span: timedelta = SPAN,
    ) -> Iterator[Turn]:
        """The turn of a trigger, with the model's lease held while the body runs it.

        A turn that is settled already is given as it is, without the lease: look at `settled` first. If another
        process is at the same turn, it is waited for; if it is at another turn of the model, that is an error at once.
        A body that raises leaves the turn `failed`, to be taken up again by the same trigger.

        Args:
            model: Name of the model.
            trigger: Why the turn is run; with `window.until` it names the turn.
            window: The span of event time that it is about.
            spec_digest: Digest of the model spec.
            code_version: Version of the code that runs.
            holder: Who runs it, for people.
            wait: How long to wait for another process that is at the same turn.
            span: How long the lease lasts without a beat.

        Raises:
            BusyError: another turn of the model is running.
        """
        turn_id = trigger.turn_id(model, window.until)
        begin = {"spec_digest": spec_digest, "code_version": code_version}
        give_up = monotonic() + wait.total_seconds()
        for pause in pauses():
            found = self.find_turn(turn_id)
            if found is not None and found.settled:
                yield found
                return
            try:
                taken = self._take(model, "turn", this_process(holder), turn_id, span)
            except LeaseHeldError as busy:
                if busy.lease.turn_id != turn_id or monotonic() >= give_up:
                    raise
                sleep(pause)
                continue
            with HeldLease(self, taken, span) as lease:
                yield from self._run(self.begin_turn(model, trigger, window, lease=lease, **begin))
            return

    def _run(self, turn: Turn) -> Iterator[Turn]:
        try:
            yield turn
        except BaseException as error:
            if not turn.settled:
                self._note_failure(turn, error)
            raise

    def _note_failure(self, turn: Turn, error: BaseException) -> None:
        try:
            self.fail_turn(turn, f"{type(error).__name__}: {error}")
        except (EverfitError, SQLAlchemyError) as second:  # the first is the one to hear of; the turn stays `running`
            error.add_note(f"and the ledger could not be told: {second}")

    def begin_turn(
        self,
        model: str,
        trigger: Trigger,
        window: Window,
        *,
        spec_digest: str = "",
        code_version: str = "",
        lease: HeldLease | None = None,
    ) -> Turn:
        """Begin the turn of a trigger, take up one that was not finished, or give back one that was.

        Raises:
            BusyError: the lease is no longer held.
        """
        turn_id = trigger.turn_id(model, window.until)
        with self.write(model) as connection:
            if lease is not None:
                check_fence(connection, model, "turn", lease.token)
            now = self.now(connection)
            found = _find(connection, turn_id)
            begun = {"spec_digest": spec_digest, "code_version": code_version, "fence": lease.token if lease else None}
            if found is None:
                insert_turn(connection, model, trigger, window, now, attempt=1, **begun)
            elif found.settled:
                return found
            elif lease is not None or found.state == FAILED:
                resume_turn(connection, turn_id, now, attempt=found.attempt + 1, since=window.since, **begun)
            return turn_in(connection, turn_id)

    def finish_turn(
        self,
        turn: Turn,
        *,
        state: str,
        verdict: str | None = None,
        reasons: Sequence[str] = (),
        record: Mapping[str, Any] | Record | None = None,
        seconds: float | None = None,
    ) -> Turn:
        """Settle a turn: how it ended and why, with all its evidence.

        Doing so again with the same state and verdict changes nothing, and a turn that awaits approval or is on trial
        may be settled once more, when it is decided.

        Args:
            turn: As `begin_turn` or `take_turn` gave it; its fence is checked.
            state: Name of the flow's final state.
            verdict: Of the gate, where it came to that.
            reasons: In words.
            record: The evidence, as JSON or as a record.
            seconds: How long it took.

        Raises:
            BusyError: another process has taken the turn over.
            LedgerError: the turn is settled otherwise.
        """
        if state in {RUNNING, FAILED}:
            raise LedgerError(f"turn {turn.id!r} can't be settled as {state!r}; name its final state or call fail_turn")
        with self.write(turn.model) as connection:
            found = turn_in(connection, turn.id)
            if found.settled and (found.state == state or found.state not in {AWAITING_APPROVAL, ON_TRIAL}):
                if (found.state, found.verdict) == (state, verdict):
                    return found
                raise LedgerError(
                    f"turn {turn.id!r} is settled as {found.state!r} ({found.verdict}) and can't become {state!r} "
                    f"({verdict}); a new trigger gives a new turn"
                )
            if not found.settled:
                _check_turn_fence(connection, turn)
            change: dict[str, Any] = {"state": state, "verdict": verdict, "reasons": list(reasons), "error": None}
            change |= {"record": record or {}, "seconds": seconds, "finished_at": self.now(connection)}
            connection.execute(update(turns).where(turns.c.id == turn.id).values(**change))
            return turn_in(connection, turn.id)

    def fail_turn(self, turn: Turn, error: str) -> Turn:
        """Note that a turn broke off; the same trigger takes it up again.

        Raises:
            BusyError: another process has taken the turn over.
            LedgerError: the turn is settled.
        """
        with self.write(turn.model) as connection:
            if turn_in(connection, turn.id).settled:
                raise LedgerError(f"turn {turn.id!r} is settled and can't fail any more ({error})")
            _check_turn_fence(connection, turn)
            now = self.now(connection)
            change = {"state": FAILED, "error": error.replace("\x00", "\ufffd"), "finished_at": now}
            connection.execute(update(turns).where(turns.c.id == turn.id).values(**change))
            return turn_in(connection, turn.id)

    def turn(self, turn_id: str) -> Turn:
        """The turn of that id.

        Raises:
            LedgerError: there is none.
        """
        with self.read() as connection:
            return turn_in(connection, turn_id)

    def find_turn(self, turn_id: str) -> Turn | None:
        """The turn of that id, if there is one."""
        with self.read() as connection:
            return _find(connection, turn_id)

    def turns(self, model: str, *, state: str | None = None, limit: int | None = None) -> list[Turn]:
        """The turns of a model (that are in a state), oldest first; with a limit the newest so many."""
        query = select(turns).where(turns.c.model == model).order_by(turns.c.seq.desc()).limit(limit)
        if state is not None:
            query = query.where(turns.c.state == state)
        with self.read() as connection:
            return [turn_of(row) for row in connection.execute(query).mappings()][::-1]

    def models(self) -> list[str]:
        """The models that have had a turn, by name."""
        with self.read() as connection:
            return list(connection.execute(select(turns.c.model).distinct().order_by(turns.c.model)).scalars())


def _check_turn_fence(connection: Connection, turn: Turn) -> None:
    if turn.fence is not None:
        check_fence(connection, turn.model, "turn", turn.fence)


def check_turn(connection: Connection, turn: Turn) -> None:
    """Refuse to act for a turn that another process has taken over, or that is not in the ledger.

    Raises:
        BusyError: the turn's lease is no longer held.
        LedgerError: the turn is unknown.
    """
    found = turn_in(connection, turn.id)
    if not found.settled:
        _check_turn_fence(connection, turn)


def insert_turn(
    connection: Connection, model: str, trigger: Trigger, window: Window, now: datetime, **begun: Any
) -> None:
    """Add the row of a turn that is begun, or is about to be.

    Args:
        connection: A write of the model.
        model: Name of the model.
        trigger: Why the turn is run.
        window: The span of event time that it is about.
        now: The ledger's time.
        **begun: By what it was begun: its attempt, fence, spec digest and code version.
    """
    last = connection.execute(select(func.max(turns.c.seq)).where(turns.c.model == model)).scalar()
    connection.execute(
        insert(turns).values(
            id=trigger.turn_id(model, window.until),
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
            started_at=now,
            **begun,
        )
    )


def resume_turn(connection: Connection, turn_id: str, now: datetime, **begun: Any) -> None:
    """Let the row of a turn that broke off say that it is run again, or is about to be.

    Args:
        connection: A write of the model.
        turn_id: The turn.
        now: The ledger's time.
        **begun: By what it was begun anew: the fence of its lease, which is none until it is run, and all that changed.
    """
    change = {"state": RUNNING, "error": None, "finished_at": None, "started_at": now, **begun}
    connection.execute(update(turns).where(turns.c.id == turn_id).values(**change))


def _find(connection: Connection, turn_id: str) -> Turn | None:
    row = connection.execute(select(turns).where(turns.c.id == turn_id)).mappings().first()
    return None if row is None else turn_of(row)


def turn_in(connection: Connection, turn_id: str) -> Turn:
    """The turn of that id.

    Raises:
        LedgerError: there is none.
    """
    found = _find(connection, turn_id)
    if found is None:
        raise LedgerError(f"there is no turn {turn_id!r} in the ledger; `everfit history MODEL` lists those there are")
    return found


def turn_of(row: RowMapping) -> Turn:
    """The turn that a row of the table holds."""
    values: dict[str, Any] = dict(row)
    trigger = {name: values.pop(f"trigger_{name}") for name in ("kind", "reason", "id")}
    window = {name: values.pop(name) for name in ("since", "until")}
    return Turn.recall(values | {"trigger": trigger, "window": window})
