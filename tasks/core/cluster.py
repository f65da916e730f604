"""The Dask scheduler that the environment names: whether there is one, and a client of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from everfit.blocks.errors import EverfitError, WorkersError

if TYPE_CHECKING:
    from distributed import Client

RUNNER, ADDRESS = "EVERFIT_TASK_RUNNER", "EVERFIT_DASK_ADDRESS"
"""The variables that choose: `threads` (the default) or `dask`, and the scheduler's address."""


def chosen_runner() -> str:
    """Return what the environment chooses: `threads` or `dask`.

    Raises:
        EverfitError: It names another one.
    """
    chosen = os.environ.get(RUNNER, "threads")
    if chosen not in {"threads", "dask"}:
        raise EverfitError(f"{RUNNER} is {chosen!r}; allowed: threads, dask")
    return chosen


@contextmanager
def dask_client(jobs: int) -> "Iterator[Client]":
    """Yield a client of the scheduler that the environment names, or of one of its own with so many workers.

    Raises:
        EverfitError: Dask isn't installed.
        WorkersError: The scheduler doesn't answer.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise dask_is_missing() from error
    address = os.environ.get(ADDRESS)
    own = {} if address else {"n_workers": jobs, "threads_per_worker": 1, "dashboard_address": None}
    try:
        client = Client(address, **own)  # type: ignore[no-untyped-call]
    except (OSError, TimeoutError) as error:
        raise WorkersError(
            f"the Dask scheduler {address or 'of this run'} does not answer: {error}; start it, correct {ADDRESS}, or "
            f"unset {RUNNER}, and run the same command again"
        ) from error
    with client:
        yield client


def dask_is_missing() -> EverfitError:
    """Return the error of an environment that chooses Dask, which isn't installed."""
    return EverfitError(f"{RUNNER} is 'dask', and prefect-dask is missing: pip install 'everfit[dask]'")
