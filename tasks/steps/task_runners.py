"""Where a flow's tasks run: in threads of its own process, or on the workers of a Dask scheduler."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cache
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from prefect.context import FlowRunContext
from prefect.settings import PREFECT_API_URL
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from everfit.tasks.core.cluster import ADDRESS, chosen_runner, dask_client, dask_is_missing
from everfit.tasks.core.cores import usable_cores
from everfit.tasks.core.spread import Item, Result, Shared, Spread, in_turn
from everfit.tasks.core.worker_watch import watched

if TYPE_CHECKING:
    from distributed import Client


def task_runner() -> TaskRunner[Any]:
    """The task runner that the environment names.

    In threads one setting is tried at a time: each uses every core by itself, and two that share them take far longer
    than one by one.

    Raises:
        EverfitError: there is no such runner, or it isn't installed.
    """
    if chosen_runner() == "threads":
        return ThreadPoolTaskRunner(max_workers=1)
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError as error:
        raise dask_is_missing() from error
    runner: TaskRunner[Any] = DaskTaskRunner(address=os.environ.get(ADDRESS))
    return runner


@contextmanager
def executor(jobs: int, folders: Sequence[str] = (), files: Sequence[str] = ()) -> Iterator[Executor]:
    """Run work that is not made of tasks, such as the lives of a rehearsal, where the environment says.

    Args:
        jobs: How much runs at a time in threads, and in a Dask cluster of this run's own. A scheduler with an address
            has workers of its own.
        folders: The folders that the workers must reach, as for `check_workers`.
        files: The files that they must see.

    Raises:
        EverfitError: there is no such runner, or it isn't installed.
        WorkersError: Its scheduler doesn't answer, or its workers can't do the work.
    """
    if chosen_runner() == "threads":
        with ThreadPoolExecutor(jobs) as threads:
            yield threads
        return
    with _client(jobs, folders, files) as client:
        yield client.get_executor(pure=False)  # type: ignore[no-untyped-call]


@contextmanager
def workers(*folders: str) -> Iterator[Spread]:
    """Yield how the environment spreads the parts of one step: here one by one, or over the workers of a scheduler.

    A single part is worked on here in any case.

    Args:
        *folders: The folders that the workers must reach, such as the workspace.

    Raises:
        EverfitError: there is no such runner, or it isn't installed.
        WorkersError: Its scheduler doesn't answer, or its workers can't do the work.
    """
    if chosen_runner() == "threads":
        yield in_turn
        return
    with ExitStack() as opened:

        @cache
        def on_workers() -> Spread:
            client = opened.enter_context(_client(usable_cores(), folders))
            from everfit.tasks.steps.dask_spread import DaskSpread

            return DaskSpread(client)

        def spread(
            function: Callable[[Shared, Item], Result], shared: Shared, items: Iterable[Item]
        ) -> Iterator[Result]:
            rest = iter(items)
            first = list(islice(rest, 2))
            chosen: Spread = in_turn if len(first) < 2 else on_workers()
            return chosen(function, shared, chain(first, rest))

        yield spread


def check_reach(*folders: str, servers: Sequence[str] = ()) -> None:
    """Refuse workers of the scheduler that the environment names, if there is one and they can't do the work.

    Args:
        *folders: The folders that they must reach.
        servers: The addresses that they must reach.

    Raises:
        WorkersError: The scheduler doesn't answer, or its workers can't do the work.
    """
    if chosen_runner() != "threads" and os.environ.get(ADDRESS):
        with _client(1, folders, servers=servers):
            pass


@contextmanager
def workers_for_tasks(*folders: str) -> Iterator[None]:
    """Let the body submit tasks to the workers of the flow's task runner, after a look whether they can do them.

    Args:
        *folders: The folders that they must reach. They must also reach Prefect, to which they report.

    Raises:
        WorkersError: The scheduler doesn't answer, its workers can't do the work, or all of them are gone.
    """
    api = PREFECT_API_URL.value()
    check_reach(*folders, servers=[api] if api else [])
    running = FlowRunContext.get()
    client: Client | None = getattr(running.task_runner, "client", None) if running is not None else None
    with nullcontext() if client is None else watched(client):
        yield


@contextmanager
def _client(
    jobs: int, folders: Sequence[str] = (), files: Sequence[str] = (), servers: Sequence[str] = ()
) -> "Iterator[Client]":
    """Yield a client of the scheduler that the environment names, or of one of its own with so many workers."""
    from everfit.tasks.steps.dask_workers import check_workers

    with dask_client(jobs) as client, watched(client):
        check_workers(client, folders, files, servers)
        yield client


def side_by_side() -> bool:
    """Whether tasks that are submitted at once run at once, as they do on the workers of a scheduler."""
    return chosen_runner() != "threads"
