"""What a check of the gate found, and how it says so."""

import math
from collections.abc import Iterator

from everfit.tasks.core.records import Record


class Check(Record):
    """What one check found."""

    name: str
    passed: bool
    value: float | None = None
    bound: float | None = None
    reason: str


Checks = Iterator[Check]
"""What a check gives: one finding or several, or none where it is switched off or does not apply."""


def number(value: float | None) -> str:
    """A number as short as it can be read: `.697`, `-.002`, `12.3`, `1,234`.

    Example:
        >>> number(0.6971), number(-0.00021), number(12.34), number(None)
        ('.697', '-.00021', '12.3', 'not measured')
    """
    if value is None:
        return "not measured"
    size = abs(value)
    if size == 0 or size >= 1000:
        return f"{value + 0.0:,.0f}"  # no minus before a zero
    if size >= 1:
        return f"{value:.3g}"
    if size < 1e-6:
        return f"{value:.0e}"
    digits = 3 if size >= 1e-3 else 1 - math.floor(math.log10(size))
    return f"{value:.{digits}f}".replace("0.", ".", 1)


def percent(share: float) -> str:
    """A share in per cent: `95 %`."""
    return f"{100 * share:.6g} %"


def judge(name: str, value: float | None, bound: float, *, at_most: bool, what: str) -> Check:
    """A measured value against a bound that it may reach; what was not measured does not pass."""
    passed = value is not None and (value <= bound if at_most else value >= bound)
    limit = f"{'at most' if at_most else 'at least'} {number(bound)}"
    if value is None:
        reason = f"{what} was not measured, so nobody knows whether it is {limit}"
    elif passed:
        reason = f"{what} is {number(value)}; {limit} is asked for"
    else:
        reason = f"{what} is {number(value)}; it must be {limit}"
    return Check(name=name, passed=passed, value=value, bound=bound, reason=reason)


def missing(name: str, what: str, cause: str | None = None) -> Check:
    """Return a failed check: there is no evidence for it.

    Args:
        name: Of the check.
        what: Was to be measured.
        cause: Why it could not be, if that is known.
    """
    because = f" ({cause})" if cause else ""
    return Check(name=name, passed=False, reason=f"{what} was not measured{because}; what is not known does not pass")
