"""A spread that kills a worker process while it works."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator

from everfit.tasks.core.spread import Item, Result, Shared, Spread

_AFTER = 2


class Killing:
    """Kills a worker by SIGKILL once two items of a call were handed out.

    Args:
        spread: Does the work.
        address: Address of the scheduler.

    Attributes:
        killed: The number of workers that were killed.
    """

    def __init__(self, spread: Spread, address: str) -> None:
        self._spread, self._address = spread, address
        self.killed = 0

    def __call__(
        self, function: Callable[[Shared, Item], Result], shared: Shared, items: Iterable[Item]
    ) -> Iterator[Result]:
        """Work through the items, with one worker less for a while."""
        return self._spread(function, shared, self._handed_out(items))

    def _handed_out(self, items: Iterable[Item]) -> Iterator[Item]:
        for number, item in enumerate(items):
            if number == _AFTER:
                self._kill()
            yield item

    def _kill(self) -> None:
        from distributed import Client

        with Client(self._address) as client:  # type: ignore[no-untyped-call]
            process = min(client.run(os.getpid).values())
        os.kill(process, signal.SIGKILL)
        self.killed += 1
