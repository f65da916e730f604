"""Apply a function to many items: one by one in this process, or on workers that somebody else brings."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Spread(Protocol):
    """How a function is applied to items. Each worker gets the argument that all calls share once."""

    def __call__(
        self, function: Callable[[Shared, Item], Result], shared: Shared, items: Iterable[Item]
    ) -> Iterator[Result]:
        """Yield the function's results in the order of the items, which are read as they are needed.

        Args:
            function: A function of a module. It may run twice for an item, so a second run must change nothing.
            shared: The first argument of each call.
            items: The second arguments, one a call.
        """
        ...


def in_turn(function: Callable[[Shared, Item], Result], shared: Shared, items: Iterable[Item]) -> Iterator[Result]:
    """Apply a function to items in this process, each when its result is wanted.

    Example:
        >>> list(in_turn(pow, 2, [1, 2, 3]))
        [2, 4, 8]
    """
    for item in items:
        yield function(shared, item)
