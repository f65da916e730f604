"""Which of many looks at a model share no rows: hourly looks at a week are one window seen 168 times. Pure."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from everfit.tasks.core.records import Window

_T = TypeVar("_T")

NEARLY = 0.1
"""Where windows are counted, and not added up, they may share so much: months are not all of one length."""


def apart(
    known: Iterable[_T], window: Callable[[_T], Window], *, before: Window | None = None, shared: float = 0.0
) -> list[_T]:
    """Of windows that may overlap those that don't, so that each row counts once.

    Args:
        known: What was seen, in any order.
        window: Of what rows.
        before: A window that the newest must be apart from as well, such as the one that is looked at now.
        shared: What share of the later one's span two neighbours may have in common.

    Returns:
        Newest first: the newest of all, the newest that is apart from it, and so on.

    Example:
        >>> from datetime import UTC, datetime, timedelta
        >>> day = [datetime(2024, 3, number, tzinfo=UTC) for number in range(1, 15)]
        >>> weeks = [Window(since=until - timedelta(days=7), until=until) for until in day]
        >>> [each.until.day for each in apart(weeks, lambda each: each)]
        [14, 7]
    """
    kept: list[_T] = []
    last = before
    for each in sorted(known, key=lambda found: window(found).until, reverse=True):
        found = window(each)
        if last is None or _is_before(found, last, shared):
            kept.append(each)
            last = found
    return kept


def _is_before(earlier: Window, later: Window, shared: float) -> bool:
    if later.since is None:
        return False
    return earlier.until <= later.since + shared * (later.until - later.since)
