"""Columns of numbers as small plain data: times as differences, repeated values once. Pure."""

from collections.abc import Sequence
from typing import Any


def to_digits(value: float, digits: int) -> float:
    """Return a number rounded to this many significant digits."""
    return float(f"{value:.{digits}g}")


def steps_between(values: Sequence[int]) -> list[int]:
    """Return rising numbers as the steps between them.

    Example:
        >>> steps_between([5, 7, 8])
        [5, 2, 1]
    """
    return [value - before for before, value in zip((0, *values), values, strict=False)]


def sums(steps: Sequence[int]) -> list[int]:
    """Return the numbers from `steps_between`."""
    total, values = 0, []
    for step in steps:
        total += step
        values.append(total)
    return values


def changes(column: Sequence[Any]) -> list[list[Any]]:
    """Return a column that rarely changes as `[place, value]` where it does.

    Example:
        >>> changes([1, 1, 2])
        [[0, 1], [2, 2]]
    """
    found: list[list[Any]] = []
    for place, value in enumerate(column):
        if not found or found[-1][1] != value:
            found.append([place, value])
    return found


def filled(found: Sequence[Sequence[Any]], length: int) -> list[Any]:
    """Return the column from `changes`."""
    column: list[Any] = []
    for (place, value), (end, _) in zip(found, [*found[1:], (length, None)], strict=True):
        column += [value] * (end - place)
    return column or [None] * length
