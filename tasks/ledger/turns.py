"""Turns: each trigger runs one turn once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import JSON, Connection, select, type_coerce
from sqlalchemy.exc import SQLAlchemyError

from everfit.blocks.errors import EverfitError, LedgerError
from everfit.tasks.core.records import Record, Trigger, Window
from everfit.tasks.ledger.leases import SPAN, HeldLease, Leases, check_fence
from everfit.tasks.ledger.process_identity import this_process
from everfit.tasks.ledger.records import FAILED, RUNNING, Turn
from everfit.tasks.ledger.requests import (
    Admitted,
    RequestOutcome,
    failed_attempt,
    observed_turns,
    reserve_turn,
    settled_elsewhere,
)
from everfit.tasks.ledger.schema import turns
from everfit.tasks.ledger.store import Store
from everfit.tasks.ledger.turn_lease import take_unless_settled
from everfit.tasks.ledger.turn_rows import (
    NewTurn,
    begin_turn,
    brief_turn_of,
    fail_turn,
    find_turn,
    keep_parts,
    settle_turn,
    turn_in,
    turn_of,
)


class Turns:
    """The turns of the ledger, and the requests for them.

    Args:
        store: The ledger's database.
        leases: The leases; a turn needs one to run.
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
        """Run the turn of a trigger: hold the model's lease while the body runs.

        A settled turn is returned without the lease, so check `settled` first. If another process runs the same turn,
        this call waits for it; if it runs another turn of the model, this call fails at once. If the body raises, the
        turn is `failed`, and the same trigger runs it again.

        Args:
            model: Name of the model.
            trigger: Why the turn is run; with `window.until` it identifies the turn.
            window: The span of event time that the turn covers.
            spec_digest: Digest of the model spec.
            code_version: Version of the code that runs.
            holder: Name of the holder, for people.
            wait: How long to wait for another process that runs the same turn.
            span: How long the lease lasts without a heartbeat.

        Yields:
            The turn.

        Raises:
            BusyError: Another turn of the model is running.
        """
        turn_id = trigger.turn_id(model, window.until)
        outcome = take_unless_settled(
            self._leases,
            model,
            "turn",
            turn_id,
            holder=this_process(holder),
            wait=wait,
            span=span,
            longest_pause=0.5,
            settled=lambda _: self._settled(turn_id),
        )
        if isinstance(outcome, Turn):
            yield outcome
            return
        with HeldLease(self._leases, outcome, span) as lease:
            begun = {"spec_digest": spec_digest, "code_version": code_version}
            yield from self._run(self.begin(model, trigger, window, lease=lease, **begun))

    def _settled(self, turn_id: str) -> Turn | None:
        turn = self.find(turn_id)
        return turn if turn is not None and turn.settled else None

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
        except (EverfitError, SQLAlchemyError) as second:  # the first error is raised; the turn stays `running`
            error.add_note(f"and the failure could not be recorded in the ledger: {second}")

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
        """Begin the turn of a trigger, resume an unfinished one, or return a settled one unchanged.

        Raises:
            BusyError: The lease is no longer held.
        """
        with self._store.write(model) as connection:
            if lease is not None:
                check_fence(connection, model, "turn", lease.token)
            turn, fence = NewTurn(model, trigger, window, self._store.now(connection)), lease.token if lease else None
            return begin_turn(connection, turn, fence, spec_digest=spec_digest, code_version=code_version)

    def keep(self, turn: Turn, parts: Mapping[str, Any]) -> None:
        """Add parts to the record of a running turn; a new part replaces an earlier one of its name.

        Args:
            turn: As `begin` or `take` returned it; its fence is checked.
            parts: The evidence, by name.

        Raises:
            BusyError: Another process has taken the turn over.
            LedgerError: The turn is settled.
        """
        self._store.write_again(turn.model, lambda connection: keep_parts(connection, turn, parts))

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
        """Settle a turn: record its final state, its reasons and its evidence.

        Repeating the call with the same state and verdict changes nothing. A turn that awaits approval or is on trial
        is settled a second time when it is decided.

        Args:
            turn: As `begin` or `take` returned it; its fence is checked.
            state: Name of the flow's final state.
            verdict: Verdict of the gate, if the turn reached it.
            reasons: The reasons, the most important first.
            record: The evidence, as JSON or as a record; by default the evidence that was kept so far.
            seconds: How long the turn took.

        Raises:
            BusyError: Another process has taken the turn over.
            LedgerError: The turn was settled with another state or verdict.
        """
        if state in {RUNNING, FAILED}:
            raise LedgerError(
                f"turn {turn.id!r} can't be settled as {state!r}; name its final state, or call `turns.fail`"
            )

        def settle(connection: Connection) -> Turn:
            now = self._store.now(connection)
            change: dict[str, Any] = {"state": state, "verdict": verdict, "reasons": list(reasons), "error": None}
            change |= {"seconds": seconds, "finished_at": now} | ({} if record is None else {"record": record})
            return settle_turn(connection, turn, change)

        return self._store.write_again(turn.model, settle)

    def fail(self, turn: Turn, error: str) -> Turn:
        """Record that a turn failed; the same trigger runs it again.

        Raises:
            BusyError: Another process has taken the turn over.
            LedgerError: The turn is settled.
        """
        return self._store.write_again(
            turn.model, lambda connection: fail_turn(connection, turn, error, self._store.now(connection))
        )

    def get(self, turn_id: str) -> Turn:
        """Return the turn of that id.

        Raises:
            LedgerError: There is no such turn.
        """
        with self._store.read() as connection:
            return turn_in(connection, turn_id)

    def find(self, turn_id: str) -> Turn | None:
        """Return the turn of that id, or None."""
        with self._store.read() as connection:
            return find_turn(connection, turn_id)

    def of(self, model: str, *, state: str | None = None, limit: int | None = None) -> list[Turn]:
        """Return the turns of a model, oldest first.

        Args:
            model: Name of the model.
            state: Return only those in this state.
            limit: The largest number to return, from the newest back.
        """
        query = select(turns).where(turns.c.model == model).order_by(turns.c.seq.desc()).limit(limit)
        if state is not None:
            query = query.where(turns.c.state == state)
        with self._store.read() as connection:
            return [turn_of(row) for row in connection.execute(query).mappings()][::-1]

    def brief(self, model: str) -> list[Turn]:
        """Return all turns of a model, oldest first, without their evidence, which is most of what a turn holds.

        Only the processor time of their evidence is kept, if it is known.

        Args:
            model: Name of the model.
        """
        columns = [column for column in turns.columns if column.name != "record"]
        used = type_coerce(turns.c.record, JSON)["processor_seconds"].as_float().label("processor_seconds")
        query = select(*columns, used).where(turns.c.model == model).order_by(turns.c.seq)
        with self._store.read() as connection:
            return [brief_turn_of(row) for row in connection.execute(query).mappings()]

    def models(self) -> list[str]:
        """Return the names of the models that have a turn, sorted."""
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

        Reading the turns, deciding and reserving are one transaction, so only one of many callers starts a turn.

        Args:
            model: Name of the model.
            trigger: Why the turn is requested; with `window.until` it identifies the turn.
            window: The span of event time that the turn covers.
            may_start: Decides from the model's turns, including this one if it has failed. Turns that died or never
                began count as failed.
        """
        with self._store.write(model) as connection:
            return reserve_turn(connection, NewTurn(model, trigger, window, self._store.now(connection)), may_start)

    @contextmanager
    def start(
        self, model: str, turn_id: str, *, wait: timedelta = timedelta(hours=6), span: timedelta = SPAN
    ) -> Iterator[Turn | None]:
        """Let one of many callers run a turn; the others wait for it.

        Args:
            model: Name of the model.
            turn_id: The turn.
            wait: How long to wait for another process that runs the same turn.
            span: How long the start is reserved without a heartbeat.

        Yields:
            The settled turn, if another process ran it; otherwise None, and the body has to run it.

        Raises:
            BusyError: Another turn of the model is running or starting.
            LedgerError: The turn failed in the process that this call waited for.
        """
        failed_before = failed_attempt(self.find(turn_id))

        def settled(runner: str) -> Turn | None:
            return settled_elsewhere(self.find(turn_id), failed_before, runner)

        outcome = take_unless_settled(
            self._leases,
            model,
            "start",
            turn_id,
            holder=this_process(),
            wait=wait,
            span=span,
            longest_pause=3.0,
            settled=settled,
        )
        if isinstance(outcome, Turn):
            yield outcome
            return
        with HeldLease(self._leases, outcome, span):
            yield settled("")  # another process may have settled it just before the lease was taken

    def observed(self, model: str) -> list[Turn]:
        """Return the turns of a model, oldest first; a turn whose process died or never began is `failed`."""
        with self._store.read() as connection:
            return observed_turns(connection, model, self._store.now(connection))
