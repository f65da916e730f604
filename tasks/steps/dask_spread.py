"""Apply a function to many items on the workers of a Dask scheduler."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import dask

from everfit.tasks.core.spread import Item, Result, Shared
from everfit.tasks.core.worker_watch import or_gone

if TYPE_CHECKING:
    from distributed import Client

_LARGE = {"distributed.admin.large-graph-warning-threshold": "4GB"}
"""A part of a table goes to a worker with its task by intent, so that the scheduler can send it again."""
_AHEAD = 2
"""Items a worker thread has at a time: one that it works on, and the next one."""


class DaskSpread:
    """A spread over the workers of a scheduler. A worker that dies costs its items only time.

    Args:
        client: Client of the scheduler.
    """

    def __init__(self, client: "Client") -> None:
        self._client = client

    def __call__(
        self, function: Callable[[Shared, Item], Result], shared: Shared, items: Iterable[Item]
    ) -> Iterator[Result]:
        """Yield the function's results in the order of the items, of which a few at a time are in memory.

        Raises:
            WorkersError: The scheduler or its workers are gone. Errors of the function are raised as they are.
        """
        # A task and no scattered data: the scheduler can make it again on another worker.
        held = self._client.submit(_same, shared, pure=False)
        waiting: deque[Any] = deque()
        for item in items:
            with dask.config.set(_LARGE):
                waiting.append(self._client.submit(function, held, item, pure=False))
            threads = sum(self._client.nthreads().values())  # type: ignore[no-untyped-call]
            if len(waiting) >= _AHEAD * max(1, threads):
                yield self._result_of(waiting.popleft())
        while waiting:
            yield self._result_of(waiting.popleft())

    def _result_of(self, future: Any) -> Any:
        with or_gone(self._client):
            return future.result()


def _same(shared: Shared) -> Shared:
    return shared
