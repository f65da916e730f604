"""Where a flow's tasks run: in threads of its own process, or on the workers of a Dask scheduler."""

import os
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from everfit.blocks.errors import EverfitError

RUNNER, ADDRESS = "EVERFIT_TASK_RUNNER", "EVERFIT_DASK_ADDRESS"
"""The variables that choose: `threads` (the default) or `dask`, and the scheduler's address."""


def task_runner() -> TaskRunner[Any]:
    """The task runner that the environment names.

    In threads one setting is tried at a time: each uses every core by itself, and two that share them take far longer
    than one by one.

    Raises:
        EverfitError: there is no such runner, or it isn't installed.
    """
    if _chosen() == "threads":
        return ThreadPoolTaskRunner(max_workers=1)
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError as error:
        raise _missing() from error
    runner: TaskRunner[Any] = DaskTaskRunner(address=os.environ.get(ADDRESS))
    return runner


@contextmanager
def executor(jobs: int) -> Iterator[Executor]:
    """Run work that is not made of tasks, such as the lives of a rehearsal, where the environment says.

    Args:
        jobs: How much runs at a time in threads, and in a Dask cluster of this run's own. A scheduler with an address
            has workers of its own.

    Raises:
        EverfitError: there is no such runner, or it isn't installed.
    """
    if _chosen() == "threads":
        with ThreadPoolExecutor(jobs) as threads:
            yield threads
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise _missing() from error
    address = os.environ.get(ADDRESS)
    own = {} if address else {"n_workers": jobs, "threads_per_worker": 1, "dashboard_address": None}
    with Client(address, **own) as client:  # type: ignore[no-untyped-call]
        yield client.get_executor(pure=False)


def _chosen() -> str:
    chosen = os.environ.get(RUNNER, "threads")
    if chosen not in {"threads", "dask"}:
        raise EverfitError(f"{RUNNER} is {chosen!r}; allowed: threads, dask")
    return chosen


def _missing() -> EverfitError:
    return EverfitError(f"{RUNNER} is 'dask', and prefect-dask is missing: pip install 'everfit[dask]'")


def side_by_side() -> bool:
    """Whether tasks that are submitted at once run at once, as they do on the workers of a scheduler."""
    return _chosen() != "threads"
