"""Where a flow's tasks run: in threads of its own process, or on the workers of a Dask scheduler."""

import os
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
    chosen = os.environ.get(RUNNER, "threads")
    if chosen == "threads":
        return ThreadPoolTaskRunner(max_workers=1)
    if chosen != "dask":
        raise EverfitError(f"{RUNNER} is {chosen!r}; allowed: threads, dask")
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError as error:
        raise EverfitError(f"{RUNNER} is 'dask', and prefect-dask is missing: pip install 'everfit[dask]'") from error
    runner: TaskRunner[Any] = DaskTaskRunner(address=os.environ.get(ADDRESS))
    return runner


def side_by_side() -> bool:
    """Whether tasks that are submitted at once run at once, as they do on the workers of a scheduler."""
    return os.environ.get(RUNNER, "threads") != "threads"
