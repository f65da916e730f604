"""Whether the holder of a lease still lives, by what one waiting process sees and by no other clock.

A lease's times come from the clock of its holder, or of the database, and clocks are set wrong and jump. So a lease is
taken over when its process is known to be dead on this host, or when the waiting process has seen no heartbeat for the
lease's span. The times only tell for which leases it is worth to watch.
"""

import time
from datetime import datetime, timedelta

from everfit.tasks.ledger.process_identity import is_dead, is_here
from everfit.tasks.ledger.records import Lease

_CLOCKS_DIFFER = timedelta(seconds=5)
"""The clocks of two hosts may differ by this much without a cause for doubt."""


class HolderWatch:
    """One process's observations of the holder of a lease, while it waits for it.

    Attributes:
        died: The lease as its holder left it who died, or None if it was given back.
    """

    def __init__(self) -> None:
        """Begin without any observation."""
        self.died: Lease | None = None
        self._seen: tuple[int, datetime] | None = None
        self._since = 0.0
        self._beaten = False

    def is_free(self, lease: Lease) -> bool:
        """Return whether a lease may be taken, and note what it looks like now.

        Args:
            lease: As the ledger has it now.
        """
        self.died = None if lease.holder is None else lease
        if self.died is None or is_dead(lease.host, lease.pid, lease.process_started):
            return True
        state, now = (lease.token, lease.beat_at), boot_seconds()
        if state != self._seen:
            self._beaten = self._seen is not None
            self._seen, self._since = state, now
        return now - self._since > (lease.expires_at - lease.beat_at).total_seconds()

    def is_worthwhile(self, lease: Lease, now: datetime) -> bool:
        """Return whether to go on watching: the lease's times let the holder look dead, and it has not beaten since.

        Args:
            lease: As the ledger has it now.
            now: The ledger's time.
        """
        return not self._beaten and not _in_time(lease, now)


def looks_held(lease: Lease, now: datetime) -> bool:
    """Return whether a lease seems to be held at this moment.

    Args:
        lease: As the ledger has it now.
        now: The ledger's time; it counts only for a process of another host.
    """
    if lease.holder is None or is_dead(lease.host, lease.pid, lease.process_started):
        return False
    return is_here(lease.host) or _in_time(lease, now)


def _in_time(lease: Lease, now: datetime) -> bool:
    """Return whether the lease's times are those of a holder that sends heartbeats: neither over nor in the future."""
    return lease.beat_at - _CLOCKS_DIFFER <= now < lease.expires_at


def boot_seconds() -> float:
    """Return seconds on a clock that nobody sets and that also runs while the machine sleeps, if there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
