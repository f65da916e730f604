"""The sum behind a decision: its figures and where they come from, so that a person can check it by hand."""

from collections.abc import Iterable
from math import floor, log10

from everfit.tasks.core.outside_text import markdown_text
from everfit.tasks.core.records import Record


class Figure(Record):
    """One figure of a sum.

    Attributes:
        name: Short name of the figure.
        value: As text, with as many digits as the sum needs.
        origin: The sum that gives it, or the key of the spec that sets it; empty if it was measured or counted.
    """

    name: str
    value: str
    origin: str = ""


def in_digits(value: float) -> str:
    """Return a number with enough digits to calculate with.

    Example:
        >>> in_digits(1234567.0), in_digits(0.0123456), in_digits(-2.0)
        ('1,234,567', '0.01235', '-2')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def decimals_of(half: float | None) -> int | None:
    """Return the number of decimals that show two digits of an interval's half width; None without an interval.

    Args:
        half: Half the width of the interval.

    Example:
        >>> decimals_of(0.034), decimals_of(1.3), decimals_of(120.0)
        (3, 1, 0)
    """
    return None if half is None or half <= 0 else min(max(1 - floor(log10(half)), 0), 6)


def as_known(value: float, half: float | None) -> str:
    """Return a number with as many digits as its interval leaves certain.

    Args:
        value: The number.
        half: Half the width of its interval; None if it is not known.

    Example:
        >>> as_known(0.7192409, 0.034), as_known(0.7192409, None)
        ('0.719', '0.7192')
    """
    decimals = decimals_of(half)
    return in_digits(value) if decimals is None else f"{value:,.{decimals}f}"


def figure_table(figures: Iterable[Figure]) -> list[str]:
    """Return figures as the lines of a Markdown table; empty if there are none."""
    rows = [
        f"| {markdown_text(one.name)} | {markdown_text(one.value)} | {markdown_text(one.origin)} |" for one in figures
    ]
    return ["", "| the sum | | from |", "| --- | --- | --- |", *rows] if rows else []
