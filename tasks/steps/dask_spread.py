"""Apply a function to many items on the workers of a Dask scheduler."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import EverfitError
from everfit.tasks.core.spread import Item, Result, Shared

if TYPE_CHECKING:
    from distributed import Client

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
            EverfitError: The scheduler or its workers are gone. Errors of the function are raised as they are.
        """
        from distributed import Future

        # A task and no scattered data: the scheduler can make it again on another worker.
        held = self._client.submit(_same, shared, pure=False)
        waiting: deque[Future[Any]] = deque()
        for item in items:
            waiting.append(self._client.submit(function, held, item, pure=False))
            if len(waiting) >= _AHEAD * max(1, sum(self._client.nthreads().values())):
                yield _result_of(waiting.popleft())
        while waiting:
            yield _result_of(waiting.popleft())


def _same(shared: Shared) -> Shared:
    return shared


def _result_of(future: Any) -> Any:
    from distributed import CancelledError, KilledWorker
    from distributed.comm import CommClosedError

    try:
        return future.result()
    except (CancelledError, KilledWorker, CommClosedError, TimeoutError) as error:
        raise EverfitError(
            f"the Dask scheduler or its workers are gone: {error}; nothing is lost or half done, so run the same "
            f"command again once they are back, or without EVERFIT_TASK_RUNNER"
        ) from error
