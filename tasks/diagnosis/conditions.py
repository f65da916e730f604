"""The conditions of a slice in words, such as `carrier = WN and dep_hour > 20`."""

import math
from collections.abc import Iterable
from typing import NamedTuple


class Condition(NamedTuple):
    """One condition on a column.

    Attributes:
        column: The column.
        word: The word that a text has or lacks; None of other conditions.
        category: `= NAME`, `missing` or `any other`, for a condition on a category; None of other conditions.
        above: Whether the value is above the threshold, or the condition holds.
        threshold: The threshold of a number.
        missing: Whether missing values meet the condition too.
    """

    column: str
    word: str | None
    category: str | None
    above: bool
    threshold: float
    missing: bool


def conditions_in_words(conditions: Iterable[Condition]) -> str:
    """Return conditions that all hold, in words; those on one column are taken together.

    Args:
        conditions: The conditions, from the top of the tree.

    Example:
        >>> after = Condition("hour", None, None, above=True, threshold=5.5, missing=False)
        >>> conditions_in_words([after, after._replace(threshold=20.5)])
        'hour > 20.5'
    """
    groups: dict[tuple[str, str | None], list[Condition]] = {}
    for condition in conditions:
        groups.setdefault((condition.column, condition.word), []).append(condition)
    return " and ".join(_of_column(column, word, group) for (column, word), group in groups.items())


def _of_column(column: str, word: str | None, group: list[Condition]) -> str:
    if word is not None:
        return f"{column} {'has' if group[-1].above else 'lacks'} the word {word!r}"
    return _of_category(column, group) if group[0].category is not None else _of_number(column, group)


def _of_category(column: str, group: list[Condition]) -> str:
    if held := [condition.category or "" for condition in group if condition.above]:
        return f"{column} {held[-1]}" if held[-1].startswith("=") else f"{column} is {held[-1]}"
    excluded = [(condition.category or "").removeprefix("= ") for condition in group]
    return f"{column} is {'not' if len(excluded) == 1 else 'none of'} {', '.join(excluded)}"


def _of_number(column: str, group: list[Condition]) -> str:
    known = [condition for condition in group if condition.threshold < math.inf]
    if not known:  # a split between known and missing values
        return f"{column} is {'missing' if group[-1].above else 'known'}"
    missing = " or missing" if all(condition.missing for condition in group) else ""
    lower = max((condition.threshold for condition in known if condition.above), default=None)
    upper = min((condition.threshold for condition in known if not condition.above), default=None)
    if lower is None:
        return f"{column} <= {upper:.4g}{missing}"
    return f"{column} > {lower:.4g}{missing}" if upper is None else f"{lower:.4g} < {column} <= {upper:.4g}{missing}"
