"""Leases: one turn and one release at a time per model, without waiting for a dead process."""

import logging
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from sqlalchemy import ColumnElement, Connection, insert, select, update

from everfit.blocks.errors import BusyError, LedgerError
from everfit.tasks.ledger.holder_watch import HolderWatch, boot_seconds
from everfit.tasks.ledger.process_identity import Holder, this_process
from everfit.tasks.ledger.records import Lease, LeaseScope
from everfit.tasks.ledger.schema import leases
from everfit.tasks.ledger.store import Store

if TYPE_CHECKING:
    from types import TracebackType

logger = logging.getLogger("everfit.ledger")

SPAN = timedelta(seconds=60)
"""How long a lease lasts without a heartbeat."""

_BEATS = 4
"""Heartbeats per span: this many in a row must fail before the lease is lost."""


class LeaseHeldError(BusyError):
    """Another process holds the lease.

    Attributes:
        lease: The lease: its holder, its beginning and its purpose.
        now: The ledger's time at the attempt.
    """

    def __init__(self, lease: Lease, now: datetime) -> None:
        """Write the message with the holder and the time of the last heartbeat before `now`."""
        self.lease, self.now = lease, now
        purpose = f"turn {lease.turn_id!r}" if lease.turn_id else f"a {lease.scope}"
        super().__init__(
            f"model {lease.model!r} is busy: {lease.holder} has run {purpose} since "
            f"{lease.acquired_at:%Y-%m-%d %H:%M:%S} UTC "
            f"(last heartbeat {(now - lease.beat_at).total_seconds():.0f} s ago); "
            "try again when it has ended"
        )


class HeldLease:
    """A lease that this process holds; a thread sends heartbeats until it is given back.

    Attributes:
        model: Name of the model.
        scope: `turn` to run a turn, `start` to start one, `release` to change the champion,
                `rollback` until a person has the answer, `scoring` to score a batch.
        token: Number of the holder. The ledger refuses a write under an older token.
        died: The lease before, if its holder died with it; else None.
    """

    def __init__(self, leases: "Leases", lease: Lease, span: timedelta, died: Lease | None = None) -> None:
        """Start the heartbeats of a lease that was just taken."""
        self.model, self.scope, self.token = lease.model, lease.scope, lease.token
        self._leases, self._span, self.died = leases, span, died
        self._beaten = boot_seconds()
        self._lost = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease-{self.model}", daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether another process took the lease over, or may have done so since the last heartbeat."""
        return self._lost or boot_seconds() - self._beaten > self._span.total_seconds()

    def confirm(self) -> None:
        """Send a heartbeat, which extends the lease by its whole span.

        Raises:
            BusyError: Another process has taken the lease over.
        """
        before = boot_seconds()
        self._lost = self._lost or not self._leases.extend(self.model, self.scope, self.token, self._span)
        if self._lost:
            raise BusyError(
                f"the {self.scope} lease of model {self.model!r} was lost: this process sent no heartbeat in time and "
                f"another took over (token {self.token} is no longer the newest); this process writes nothing more"
            )
        self._beaten = before

    def _beat(self) -> None:
        while not self._stop.wait(self._span.total_seconds() / _BEATS):
            try:
                self.confirm()
            except BusyError:
                return
            except LedgerError:
                continue  # The ledger may answer again within the span; `lost` is true if it did not.

    def __enter__(self) -> Self:
        """Return the lease; it was taken before."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        """Stop the heartbeats and give the lease back; if the ledger doesn't answer, it expires by itself."""
        self._stop.set()
        self._thread.join()
        try:
            self._leases.give_back(self.model, self.scope, self.token)
        except LedgerError as refused:  # what was done under the lease is done, or its own error is raised
            logger.warning("the %s lease of %s could not be given back: %s", self.scope, self.model, refused)


class Leases:
    """The leases of the ledger: each lets one process act for a model.

    Args:
        store: The ledger's database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @contextmanager
    def hold(
        self,
        model: str,
        *,
        scope: LeaseScope = "turn",
        holder: str | None = None,
        turn_id: str | None = None,
        span: timedelta = SPAN,
        wait: timedelta = timedelta(0),
    ) -> Iterator[HeldLease]:
        """Hold the lease of a model while the body runs.

        A lease is taken over at once if its holder died on this host. Otherwise this call takes it over when it has
        seen no heartbeat for the lease's span, by its own clock, as clocks of hosts differ and jump. If the lease's
        times let the holder look dead, it watches for that long, also without `wait`.

        Args:
            model: Name of the model.
            scope: `turn` to run a turn, `start` to start one, `release` to change the champion,
                `rollback` until a person has the answer, `scoring` to score a batch.
            holder: Name of the holder, for people; by default the user.
            turn_id: The turn that the lease is for, shown to others who wait.
            span: How long the lease lasts without a heartbeat.
            wait: How long to wait for another holder.

        Raises:
            BusyError: Another process still held the lease after `wait`.
        """
        give_up, watch = time.monotonic() + wait.total_seconds(), HolderWatch()
        for pause in pauses():
            try:
                taken = self.take(model, scope, this_process(holder), turn_id, span, watch=watch)
                break
            except LeaseHeldError as busy:
                watching = watch.is_worthwhile(busy.lease, busy.now)
                if time.monotonic() >= give_up and not watching:
                    raise
            time.sleep(pause if watching else min(pause, max(0.0, give_up - time.monotonic())))
        with HeldLease(self, taken, span, watch.died) as held:
            yield held

    def take(
        self, model: str, scope: LeaseScope, holder: Holder, turn_id: str | None, span: timedelta, *, watch: HolderWatch
    ) -> Lease:
        """Try once to take a lease, without heartbeats.

        Args:
            model: Name of the model.
            scope: As for `hold`.
            holder: This process.
            turn_id: The turn that the lease is for.
            span: How long the lease lasts without a heartbeat.
            watch: This process's observations of the holder at earlier attempts.

        Raises:
            LeaseHeldError: Another process holds it.
        """
        with self._store.write(model) as connection:
            now = self._store.now(connection)
            current = read_lease(connection, model, scope)
            if current is not None and not watch.is_free(current):
                raise LeaseHeldError(current, now)
            lease = Lease(
                model=model,
                scope=scope,
                holder=holder.name,
                token=current.token + 1 if current else 1,
                turn_id=turn_id,
                host=holder.host,
                pid=holder.pid,
                process_started=holder.process_started,
                acquired_at=now,
                beat_at=now,
                expires_at=now + span,
            )
            if current is None:
                connection.execute(insert(leases).values(**lease.model_dump()))
            else:
                connection.execute(update(leases).where(*_key(model, scope)).values(**lease.model_dump()))
            return lease

    def extend(self, model: str, scope: LeaseScope, token: int, span: timedelta) -> bool:
        """Extend a lease by a heartbeat; return False if that token no longer holds it."""
        with self._store.write(model) as connection:
            now = self._store.now(connection)
            held = (*_key(model, scope), leases.c.token == token, leases.c.holder.is_not(None))
            change = update(leases).where(*held).values(beat_at=now, expires_at=now + span)
            return connection.execute(change).rowcount == 1

    def give_back(self, model: str, scope: LeaseScope, token: int) -> None:
        """End a lease, unless another process has taken it over."""
        with self._store.write(model) as connection:
            held = (*_key(model, scope), leases.c.token == token)
            connection.execute(update(leases).where(*held).values(holder=None, turn_id=None))


def check_fence(connection: Connection, model: str, scope: LeaseScope, token: int) -> None:
    """Refuse a write under a lease that another process has taken over, in the transaction of that write.

    Raises:
        BusyError: The token is not the newest.
    """
    current = read_lease(connection, model, scope)
    if current is None or current.token != token or current.holder is None:
        newest = f"token {current.token}, {current.holder or 'given back'}" if current else "no lease"
        raise BusyError(
            f"the {scope} lease of model {model!r} with token {token} is no longer held ({newest}); "
            "the write of this process is refused"
        )


def pauses(longest: float = 0.5) -> Iterator[float]:
    """Yield seconds to wait between attempts: short at first, growing to about `longest`, with random jitter."""
    pause = 0.02
    while True:
        yield pause * random.uniform(0.5, 1.5)  # noqa: S311
        pause = min(1.5 * pause, longest)


def _key(model: str, scope: LeaseScope) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return leases.c.model == model, leases.c.scope == scope


def read_lease(connection: Connection, model: str, scope: LeaseScope) -> Lease | None:
    """Return the lease of a model, or None if it was never taken."""
    row = connection.execute(select(leases).where(*_key(model, scope))).mappings().first()
    return None if row is None else Lease.recall(dict(row))
