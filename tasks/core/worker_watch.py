"""Notice that a Dask scheduler has lost all its workers, and end what waits for them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING

from everfit.blocks.errors import WorkersError

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger("everfit.workers")

_LOOK_SECONDS = 5.0
PATIENCE = 300.0
"""Seconds without any worker after which the work ends, unless Dask's `no-workers-timeout` says otherwise."""
_LIMIT = "distributed.scheduler.no-workers-timeout"
_AGAIN = (
    "nothing is lost or half done, so run the same command again once they are back, or without EVERFIT_TASK_RUNNER"
)


@contextmanager
def watched(client: "Client") -> Iterator[None]:
    """Let the body wait for results, but not for ever where no worker is left.

    Dask keeps work until a worker comes. Without a limit, nobody would learn that a cluster is gone.

    Args:
        client: Client of the scheduler. It is closed if there is no worker for too long, which ends all waiting.

    Raises:
        WorkersError: The scheduler or its workers are gone.
    """
    over = Event()
    watch = Thread(target=_watch, args=(client, over), daemon=True, name="everfit-workers")
    watch.start()
    try:
        with or_gone(client):
            yield
    finally:
        over.set()
        watch.join(1.0)


@contextmanager
def or_gone(client: "Client") -> Iterator[None]:
    """Say in one sentence that the scheduler or its workers are gone, where the body meets that.

    Args:
        client: Client of the scheduler.

    Raises:
        WorkersError: They are gone.
    """
    from concurrent.futures import CancelledError

    from distributed import KilledWorker
    from distributed.comm.core import CommClosedError

    try:
        yield
    except (CancelledError, KilledWorker, CommClosedError) as error:
        why = getattr(client, _REASON, "") or str(error).rstrip(".") or type(error).__name__
        raise WorkersError(f"the Dask scheduler or its workers are gone: {why}; {_AGAIN}") from error


_REASON = "everfit_reason"


def _watch(client: "Client", over: Event) -> None:
    """Look at the workers from time to time, until the work is over or has no worker for too long."""
    import dask
    from dask.utils import parse_timedelta

    limit = parse_timedelta(dask.config.get(_LIMIT, None) or PATIENCE)
    since, warned = monotonic(), False
    while not over.wait(min(_LOOK_SECONDS, limit)):
        there: bool | None = None
        with suppress(Exception):  # a scheduler that doesn't answer is the client's matter: it tries to reach it again
            there = bool(client.nthreads())  # type: ignore[no-untyped-call]
        if there:
            since, warned = monotonic(), False
        if there is not False or over.is_set():
            continue
        waited = monotonic() - since
        if waited > limit:
            reason = f"it has had no worker for {waited:.0f} s"
            setattr(client, _REASON, reason)
            client.close()  # type: ignore[no-untyped-call]
            return
        if not warned:
            logger.warning("the Dask scheduler has no worker; the work goes on if one comes within %.0f s", limit)
            warned = True
