"""Sum, mean and standard deviation of numbers in parts, the same to the last digit in whatever parts they come.

Sums of floating-point numbers depend on their order. These are sums of whole numbers: a double is a whole number of 53
bits times a power of two, so each sum is exact, and only the result is rounded.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

_BITS = 53
_HALF = 27
_MASK = (1 << _HALF) - 1
_MOST = 1 << 24
"""Numbers at a time, so that sums of halves stay whole numbers of less than 53 bits."""
_EXACT = 1 << _BITS


@dataclass(frozen=True)
class Moments:
    """The sums of some numbers, without rounding.

    Attributes:
        count: How many there are.
        total: Their sum.
        squares: The sum of their squares; None if it was not asked for.
        endless: The sum of those that are not finite, or 0.
        whole: Whether all come from a column of whole numbers.
    """

    count: int = 0
    total: Fraction = Fraction(0)
    squares: Fraction | None = Fraction(0)
    endless: float = 0.0
    whole: bool = True

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.count + other.count,
            self.total + other.total,
            None if self.squares is None or other.squares is None else self.squares + other.squares,
            self.endless + other.endless,
            self.whole and other.whole,
        )

    @property
    def sum(self) -> float | int:
        """The sum; a whole number if all are."""
        if self.endless:
            return self.endless
        return int(self.total) if self.whole else _rounded(self.total)

    @property
    def mean(self) -> float:
        """The mean; NaN without numbers."""
        if self.endless or not self.count:
            return self.endless or math.nan
        return _rounded(self.total / self.count)

    @property
    def stdev(self) -> float:
        """The standard deviation of a sample; NaN with fewer than two numbers, or without their squares."""
        if self.endless or self.count < 2 or self.squares is None:
            return math.nan
        return math.sqrt(_rounded((self.count * self.squares - self.total**2) / (self.count * (self.count - 1))))


def moments_of(values: npt.NDArray[Any], *, squares: bool = True) -> Moments:
    """Return the sums of numbers.

    Args:
        values: Numbers of any kind, none of them missing; shape (rows,).
        squares: Whether the squares are summed too, which takes three times as long.

    Example:
        >>> parts = moments_of(np.array([1e16, 1.0])) + moments_of(np.array([-1e16]))
        >>> parts.sum
        1.0
    """
    if values.dtype.kind in "iub":
        if len(values) and max(abs(int(values.max())), abs(int(values.min()))) >= _EXACT:
            numbers = values.astype(object)
            return Moments(len(values), Fraction(int(numbers.sum())), Fraction(int((numbers**2).sum())))
        return _sums(values.astype(np.float64), whole=True, squares=squares)
    numbers = values.astype(np.float64)
    finite = np.isfinite(numbers)
    if finite.all():
        return _sums(numbers, whole=False, squares=squares)
    with np.errstate(invalid="ignore"):  # infinities of both signs
        endless = float(numbers[~finite].sum())
    return _sums(numbers[finite], whole=False, squares=squares) + Moments(
        int((~finite).sum()), endless=endless, whole=False
    )


def _sums(numbers: npt.NDArray[np.float64], *, whole: bool, squares: bool) -> Moments:
    found = Moments(whole=whole)
    for start in range(0, len(numbers), _MOST):
        mantissas, exponents = np.frexp(numbers[start : start + _MOST])
        integers = np.ldexp(mantissas, _BITS).astype(np.int64)
        lowest = int(exponents.min())
        bins = exponents - lowest
        total = _scaled(_by_bin(integers, bins), lowest - _BITS)
        product: Fraction | None = None
        if squares:
            high, low = integers >> _HALF, integers & _MASK
            parts = zip(*(_by_bin(part, bins) for part in (high * high, high * low, low * low)), strict=True)
            products = [(upper << 2 * _HALF) + (middle << (_HALF + 1)) + lower for upper, middle, lower in parts]
            product = _scaled(products, 2 * (lowest - _BITS), 2)
        found += Moments(len(mantissas), total, product, whole=whole)
    return found


def _by_bin(integers: npt.NDArray[np.int64], bins: npt.NDArray[np.int32]) -> list[int]:
    """Return the sum in each bin of whole numbers of up to 54 bits; as halves, since bincount adds doubles."""
    halves = [np.bincount(bins, weights=half) for half in (integers >> _HALF, integers & _MASK)]
    return [(int(upper) << _HALF) + int(lower) for upper, lower in zip(*halves, strict=True)]


def _scaled(integers: list[int], exponent: int, step: int = 1) -> Fraction:
    """Return the sum of whole numbers times powers of two, from an exponent on."""
    return sum(integer << step * place for place, integer in enumerate(integers)) * Fraction(2) ** exponent


def _rounded(number: Fraction) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
