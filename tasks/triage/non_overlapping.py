"""Windows that share no rows: hourly runs over a week are one window seen 168 times. Pure."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TypeVar

from everfit.tasks.core.records import Window

_T = TypeVar("_T")

NEARLY = 0.1
"""The share that windows may have in common where they are only counted: months differ in length."""


def non_overlapping(
    items: Iterable[_T], window_of: Callable[[_T], Window], *, before: Window | None = None, shared: float = 0.0
) -> list[_T]:
    """Return items whose windows do not overlap, so that each row counts once.

    Args:
        items: Items with windows that may overlap, in any order.
        window_of: Returns the window of an item.
        before: A window that no returned window may overlap, such as the one that is monitored now.
        shared: The share of the later one's span that two neighbours may have in common.

    Returns:
        Newest first: the newest of all, the newest that does not overlap it, and so on.

    Example:
        >>> from datetime import UTC, datetime, timedelta
        >>> days = [datetime(2024, 3, number, tzinfo=UTC) for number in range(1, 15)]
        >>> weeks = [Window(since=until - timedelta(days=7), until=until) for until in days]
        >>> [week.until.day for week in non_overlapping(weeks, lambda week: week)]
        [14, 7]
    """
    kept: list[_T] = []
    bound = None if before is None else _end_before(before, shared)
    for item in sorted(items, key=lambda item: window_of(item).until, reverse=True):
        window = window_of(item)
        if bound is None or window.until <= bound:
            kept.append(item)
            bound = _end_before(window, shared)
    return kept


def _end_before(later: Window, shared: float) -> datetime:
    """Return the latest end of an earlier window that does not overlap a later one; none ends before an open one."""
    if later.since is None:
        return datetime.min.replace(tzinfo=UTC)
    return later.since + shared * (later.until - later.since)
