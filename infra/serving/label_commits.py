"""Write the labels of requests that arrive together at once.

A comparison with the table and a flush for each request would cost more than the labels. While one write is under way,
further requests wait, and the next write takes all of them, in their order. A request is answered when its own write is
durable.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.predictions.label_recording import RecordedLabels
from everfit.tasks.storage.tables import DAY, KEY

if TYPE_CHECKING:
    import pandas as pd

_MOST_ROWS = 50_000
"""Labels in one commit, unless a single request has more."""

Write = Callable[[Sequence["pd.DataFrame"]], list[RecordedLabels]]


@dataclass(frozen=True)
class _Request:
    """Labels that wait for their commit."""

    rows: "pd.DataFrame"
    keys: frozenset[int]
    days: frozenset[object]
    counts: "asyncio.Future[RecordedLabels]"


class LabelCommits:
    """The labels of a model's requests on their way to the table.

    Args:
        write: Function that commits the labels of some requests and returns their counts; it runs in a thread.
        most_days: Days of one commit, unless a single request has more; the table has a file for each.
    """

    def __init__(self, write: Write, most_days: int) -> None:
        self._write, self._most_days = write, most_days
        self._waiting: deque[_Request] = deque()
        self._running: asyncio.Task[None] | None = None

    async def add(self, rows: "pd.DataFrame") -> RecordedLabels:
        """Return the counts of a request's labels when they are durable.

        Args:
            rows: Rows from `everfit.tasks.predictions.labels.label_rows`.

        Raises:
            WorkspaceError: The table can't be written.
        """
        counts = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(rows, frozenset(rows[KEY].tolist()), frozenset(rows[DAY]), counts))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._commit())
        recorded: RecordedLabels = await counts
        return recorded

    async def _commit(self) -> None:
        while self._waiting:
            await self._settle(self._next_group())

    def _next_group(self) -> list[_Request]:
        """Take the requests that one commit can hold, from the oldest on.

        They have no key in common, so that each is compared with what the table has, as if it had come alone.
        """
        group = [self._waiting.popleft()]
        rows, keys, days = len(group[0].rows), set(group[0].keys), set(group[0].days)
        while self._waiting:
            following = self._waiting[0]
            rows += len(following.rows)
            days |= following.days
            if rows > _MOST_ROWS or len(days) > self._most_days or not keys.isdisjoint(following.keys):
                break
            keys |= following.keys
            group.append(self._waiting.popleft())
        return group

    async def _settle(self, group: list[_Request]) -> None:
        try:
            counts = await asyncio.to_thread(self._write, [request.rows for request in group])
        except Exception as error:  # noqa: BLE001 - each request is answered with the error
            if len(group) == 1 or isinstance(error, WorkspaceError):
                for request in group:
                    _answer(request, error)
                return
            for request in group:  # what is wrong with one must not be said to the others
                await self._settle([request])
            return
        for request, count in zip(group, counts, strict=True):
            _answer(request, count)


def _answer(request: _Request, answer: RecordedLabels | Exception) -> None:
    if request.counts.done():
        return  # nobody waits any more
    if isinstance(answer, Exception):
        request.counts.set_exception(answer)
    else:
        request.counts.set_result(answer)
