"""Apply a function to many items: one by one in this process, or on workers that somebody else brings."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
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


_CHOSEN: ContextVar[Spread] = ContextVar("spread", default=in_turn)


def current_spread() -> Spread:
    """Return the spread of the step that is running, for what is read when it is first used; else `in_turn`."""
    return _CHOSEN.get()


@contextmanager
def spread_by(spread: Spread) -> Iterator[Spread]:
    """Let a spread be the current one.

    Args:
        spread: The spread.

    Example:
        >>> with spread_by(in_turn) as spread:
        ...     current_spread() is spread
        True
    """
    before = _CHOSEN.set(spread)
    try:
        yield spread
    finally:
        _CHOSEN.reset(before)
