"""Wait for the lease of a turn, or for the process that holds it to settle the turn."""

import logging
from collections.abc import Callable
from datetime import timedelta
from time import monotonic, sleep

from everfit.tasks.ledger.holder_watch import HolderWatch
from everfit.tasks.ledger.leases import LeaseHeldError, Leases, pauses
from everfit.tasks.ledger.process_identity import Holder
from everfit.tasks.ledger.records import Lease, LeaseScope, Turn

logger = logging.getLogger("everfit.ledger")


def take_unless_settled(
    leases: Leases,
    model: str,
    scope: LeaseScope,
    turn_id: str,
    *,
    holder: Holder,
    wait: timedelta,
    span: timedelta,
    longest_pause: float,
    settled: Callable[[str], Turn | None],
) -> Lease | Turn:
    """Take the lease of a turn, or return the turn as soon as it is settled.

    This call waits only for a process that runs the same turn.

    Args:
        leases: The ledger's leases.
        model: Name of the model.
        scope: `turn` to run the turn, `start` to start it.
        turn_id: The turn.
        holder: This process.
        wait: How long to wait for the other process.
        span: How long the lease lasts without a heartbeat.
        longest_pause: Seconds between two attempts, at most.
        settled: Returns the turn if it is settled. Its argument is the name of the process that this call has waited
            for, empty at first.

    Raises:
        LeaseHeldError: The lease is held for another turn, or was still held after `wait`.
    """
    give_up, pause, runner = monotonic() + wait.total_seconds(), pauses(longest_pause), ""
    watch = HolderWatch()
    while True:
        if turn := settled(runner):
            return turn
        try:
            return leases.take(model, scope, holder, turn_id, span, watch=watch)
        except LeaseHeldError as busy:
            other = busy.lease.turn_id != turn_id or monotonic() >= give_up
            if other and not watch.is_worthwhile(busy.lease, busy.now):
                raise
            if not other and not runner:
                logger.info("waiting for %s, which runs turn %s", busy.lease.holder, turn_id)
            runner = runner if other else busy.lease.holder or "another process"
        sleep(next(pause))
