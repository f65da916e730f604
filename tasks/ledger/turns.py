"""Turns: what was run, once each."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic, sleep
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from everfit.blocks.errors import EverfitError, LedgerError
from everfit.tasks.core.records import Record, Trigger, Window
from everfit.tasks.ledger.leases import SPAN, HeldLease, LeaseHeldError, Leases, check_fence, pauses, read_lease
from everfit.tasks.ledger.process_identity import this_process
from everfit.tasks.ledger.records import AWAITING_APPROVAL, FAILED, ON_TRIAL, RUNNING, Turn
from everfit.tasks.ledger.requests import Admitted, RequestOutcome, as_seen, failed_attempt
from everfit.tasks.ledger.schema import turns
from everfit.tasks.ledger.store import Store
from everfit.tasks.ledger.turn_rows import check_turn_fence, find_turn, insert_turn, resume_turn, turn_in, turn_of

logger = logging.getLogger("everfit.ledger")


class Turns:
    """The turns of the ledger, and the requests for them.

    Args:
        store: The ledger's database.
        leases: Its leases, of which a turn needs one to run.
    """

    def __init__(self, store: Store, leases: Leases) -> None:
        self._store, self._leases = store, leases

    @contextmanager
    def take(
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
            found = self.find(turn_id)
            if found is not None and found.settled:
                yield found
                return
            try:
                taken = self._leases.take(model, "turn", this_process(holder), turn_id, span)
            except LeaseHeldError as busy:
                if busy.lease.turn_id != turn_id or monotonic() >= give_up:
                    raise
                sleep(pause)
                continue
            with HeldLease(self._leases, taken, span) as lease:
                yield from self._run(self.begin(model, trigger, window, lease=lease, **begin))
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
            self.fail(turn, f"{type(error).__name__}: {error}")
        except (EverfitError, SQLAlchemyError) as second:  # the first is the one to hear of; the turn stays `running`
            error.add_note(f"and the ledger could not be told: {second}")

    def begin(
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
        with self._store.write(model) as connection:
            if lease is not None:
                check_fence(connection, model, "turn", lease.token)
            now = self._store.now(connection)
            found = find_turn(connection, turn_id)
            begun = {"spec_digest": spec_digest, "code_version": code_version, "fence": lease.token if lease else None}
            if found is None:
                insert_turn(connection, model, trigger, window, now, attempt=1, **begun)
            elif found.settled:
                return found
            elif lease is not None or found.state == FAILED:
                resume_turn(connection, turn_id, now, attempt=found.attempt + 1, since=window.since, **begun)
            return turn_in(connection, turn_id)

    def keep(self, turn: Turn, parts: Mapping[str, Any]) -> None:
        """Add to the record of a running turn; of a part that it has, the new one counts.

        Args:
            turn: As `begin` or `take` gave it; its fence is checked.
            parts: The evidence, by name.

        Raises:
            BusyError: another process has taken the turn over.
            LedgerError: the turn is settled.
        """
        with self._store.write(turn.model) as connection:
            found = turn_in(connection, turn.id)
            if found.settled:
                raise LedgerError(f"turn {turn.id!r} ended as {found.state!r}, so nothing can be added to its record")
            check_turn_fence(connection, turn)
            record = {**found.record, **parts}
            connection.execute(update(turns).where(turns.c.id == turn.id).values(record=record))

    def finish(
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
            record: The evidence, as JSON or as a record; by default what was kept so far.
            seconds: How long it took.

        Raises:
            BusyError: another process has taken the turn over.
            LedgerError: the turn is settled otherwise.
        """
        if state in {RUNNING, FAILED}:
            raise LedgerError(f"turn {turn.id!r} can't be settled as {state!r}; name its final state or call fail_turn")
        with self._store.write(turn.model) as connection:
            found = turn_in(connection, turn.id)
            if found.settled and (found.state == state or found.state not in {AWAITING_APPROVAL, ON_TRIAL}):
                if (found.state, found.verdict) == (state, verdict):
                    return found
                raise LedgerError(
                    f"turn {turn.id!r} is settled as {found.state!r} ({found.verdict}) and can't become {state!r} "
                    f"({verdict}); a new trigger gives a new turn"
                )
            if not found.settled:
                check_turn_fence(connection, turn)
            change: dict[str, Any] = {"state": state, "verdict": verdict, "reasons": list(reasons), "error": None}
            change |= {"seconds": seconds, "finished_at": self._store.now(connection)}
            change |= {} if record is None else {"record": record}
            connection.execute(update(turns).where(turns.c.id == turn.id).values(**change))
            return turn_in(connection, turn.id)

    def fail(self, turn: Turn, error: str) -> Turn:
        """Note that a turn broke off; the same trigger takes it up again.

        Raises:
            BusyError: another process has taken the turn over.
            LedgerError: the turn is settled.
        """
        with self._store.write(turn.model) as connection:
            if turn_in(connection, turn.id).settled:
                raise LedgerError(f"turn {turn.id!r} is settled and can't fail any more ({error})")
            check_turn_fence(connection, turn)
            now = self._store.now(connection)
            change = {"state": FAILED, "error": error.replace("\x00", "\ufffd"), "finished_at": now}
            connection.execute(update(turns).where(turns.c.id == turn.id).values(**change))
            return turn_in(connection, turn.id)

    def get(self, turn_id: str) -> Turn:
        """The turn of that id.

        Raises:
            LedgerError: there is none.
        """
        with self._store.read() as connection:
            return turn_in(connection, turn_id)

    def find(self, turn_id: str) -> Turn | None:
        """The turn of that id, if there is one."""
        with self._store.read() as connection:
            return find_turn(connection, turn_id)

    def of(self, model: str, *, state: str | None = None, limit: int | None = None) -> list[Turn]:
        """The turns of a model (that are in a state), oldest first; with a limit the newest so many."""
        query = select(turns).where(turns.c.model == model).order_by(turns.c.seq.desc()).limit(limit)
        if state is not None:
            query = query.where(turns.c.state == state)
        with self._store.read() as connection:
            return [turn_of(row) for row in connection.execute(query).mappings()][::-1]

    def models(self) -> list[str]:
        """The models that have had a turn, by name."""
        with self._store.read() as connection:
            return list(connection.execute(select(turns.c.model).distinct().order_by(turns.c.model)).scalars())

    def request(
        self,
        model: str,
        trigger: Trigger,
        window: Window,
        *,
        may_start: Callable[[Sequence[Turn]], Admitted],
    ) -> RequestOutcome:
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
        with self._store.write(model) as connection:
            now = self._store.now(connection)
            lease = read_lease(connection, model, "turn")
            rows = connection.execute(select(turns).where(turns.c.model == model).order_by(turns.c.seq)).mappings()
            known = [as_seen(turn_of(row), lease, now) for row in rows]
            found = next((turn for turn in known if turn.id == turn_id), None)
            if found is not None and found.state != FAILED:
                return RequestOutcome(turn_id=turn_id, start=False, reason=f"turn {turn_id} was called for already")
            answer = may_start(known)
            if not answer.admitted:
                return RequestOutcome(turn_id=None, start=False, reason=answer.reason)
            if found is not None:
                resume_turn(connection, turn_id, now, fence=None)
                return RequestOutcome(turn_id=turn_id, start=True, reason="taken up again")
            begun = {"spec_digest": "", "code_version": "", "attempt": 0}  # none has begun
            insert_turn(connection, model, trigger, window, now, **begun)
            return RequestOutcome(turn_id=turn_id, start=True, reason=answer.reason)

    @contextmanager
    def start(
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
        failed_before = failed_attempt(self.find(turn_id))

        def ended() -> Turn | None:
            found = self.find(turn_id)
            if failed_attempt(found) not in {None, failed_before}:
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
                taken = self._leases.take(model, "start", this_process(), turn_id, span)
            except LeaseHeldError as busy:
                if busy.lease.turn_id != turn_id or monotonic() >= give_up:
                    raise
                if not waited_for:
                    logger.info("waiting for %s, who is at turn %s", busy.lease.holder, turn_id)
                waited_for = busy.lease.holder or "another process"
                sleep(pause)
                continue
            with HeldLease(self._leases, taken, span):
                yield ended()  # which it may have between the look and the lease
            return

    def observed(self, model: str) -> list[Turn]:
        """The turns of a model, oldest first; one that died while it ran, or never began, is `failed`."""
        with self._store.read() as connection:
            now, lease = self._store.now(connection), read_lease(connection, model, "turn")
            rows = connection.execute(select(turns).where(turns.c.model == model).order_by(turns.c.seq)).mappings()
            return [as_seen(turn_of(row), lease, now) for row in rows]
