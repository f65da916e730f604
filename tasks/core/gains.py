"""A gain in words. A sign before an error would be read the wrong way, as less of it is better."""

from collections.abc import Callable


def gain_in_words(gain: float, unit: str, shown: Callable[[float], str]) -> str:
    """Return by how much something is better or worse.

    Args:
        gain: Positive if better, whichever way the unit counts.
        unit: A metric or a currency; may be empty.
        shown: Makes text of a size.

    Example:
        >>> gain_in_words(-3.42, "rmse", "{:.2f}".format)
        '3.42 rmse worse'
    """
    return " ".join(filter(None, (shown(abs(gain)), unit, _side(gain))))


def range_in_words(low: float, high: float, shown: Callable[[float], str]) -> str:
    """Return the ends of a gain's interval; both are of the side of the gain, or each says of which it is.

    Args:
        low: The lower end.
        high: The upper end.
        shown: Makes text of a size.

    Example:
        >>> range_in_words(-4.1, -2.7, "{:.1f}".format), range_in_words(-4.1, 2.7, "{:.1f}".format)
        ('2.7 to 4.1', 'from 4.1 worse to 2.7 better')
    """
    if low < 0 <= high:
        return f"from {shown(-low)} worse to {shown(high)} better"
    return " to ".join(shown(end) for end in sorted((abs(low), abs(high))))


def _side(gain: float) -> str:
    return "better" if gain >= 0 else "worse"
