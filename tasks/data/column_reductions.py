"""Reduce a part to what decides an expectation on a whole column: some of its rows, or sums; those of all parts do."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from everfit.blocks.expectations import Expectation
from everfit.tasks.statistics.exact_moments import Moments, moments_of

Reduction = Callable[["pd.Series[Any]"], "pd.Series[Any]"]


def _distinct(values: "pd.Series[Any]") -> "pd.Series[Any]":
    return values.drop_duplicates()


def _least(values: "pd.Series[Any]") -> "pd.Series[Any]":
    least: pd.Series[Any] = values[(values == values.min()).fillna(value=False)].head(1)
    return least


def _greatest(values: "pd.Series[Any]") -> "pd.Series[Any]":
    greatest: pd.Series[Any] = values[(values == values.max()).fillna(value=False)].head(1)
    return greatest


_REDUCTIONS: Mapping[str, Reduction] = {
    "expect_column_min_to_be_between": _least,
    "expect_column_max_to_be_between": _greatest,
    "expect_column_unique_value_count_to_be_between": _distinct,
    "expect_column_distinct_values_to_be_in_set": _distinct,
    "expect_column_distinct_values_to_contain_set": _distinct,
    "expect_column_distinct_values_to_equal_set": _distinct,
}

_SUMS: Mapping[str, Callable[[Moments], float]] = {
    "expect_column_mean_to_be_between": lambda found: found.mean,
    "expect_column_sum_to_be_between": lambda found: found.sum,
    "expect_column_stdev_to_be_between": lambda found: found.stdev,
}
"""Sums are exact, so that a result has the same digits in whatever parts the rows come."""
_BOUNDS = ("min_value", "max_value")
_KNOWN = {"column", *_BOUNDS, "strict_min", "strict_max"}


def is_reducible(expectation: Expectation) -> bool:
    """Return whether some rows of each part decide an expectation, or sums of its numbers."""
    return (expectation.type in _REDUCTIONS and not expectation.kwargs.get("row_condition")) or is_of_sums(expectation)


def is_of_sums(expectation: Expectation) -> bool:
    """Return whether an expectation is on a sum, mean or standard deviation, with plain numbers as bounds."""
    if expectation.type not in _SUMS or set(expectation.kwargs) - _KNOWN:
        return False
    bounds = [expectation.kwargs.get(name) for name in _BOUNDS]
    return all(bound is None or type(bound) in {int, float} for bound in bounds)


def reduced(frame: pd.DataFrame, expectation: Expectation) -> pd.DataFrame | Moments:
    """Return what of a part decides a reducible expectation: rows of its column, or the sums of its numbers.

    Args:
        frame: Rows of a part; shape (rows, any).
        expectation: The expectation.
    """
    column = expectation.kwargs["column"]
    values = frame[column]
    known = values.dropna()
    if expectation.type in _REDUCTIONS:
        known = _REDUCTIONS[expectation.type](known)
    elif len(known) and pd.api.types.is_numeric_dtype((known := known.infer_objects()).dtype):
        numbers = known.to_numpy(dtype=known.dtype if isinstance(known.dtype, np.dtype) else None)
        return moments_of(numbers, squares=expectation.type == "expect_column_stdev_to_be_between")
    rows: pd.DataFrame = (known if len(known) else values.head(1)).to_frame()
    return rows


def judged(found: Iterable[Moments], expectation: Expectation) -> tuple[bool, float | None]:
    """Return whether sums of all parts meet an expectation as Great Expectations would say, and the value.

    Args:
        found: The sums of each part.
        expectation: The expectation, which is on sums.
    """
    value, kwargs = _SUMS[expectation.type](sum(found, Moments())), expectation.kwargs
    if value != value:  # noqa: PLR0124 - NaN
        return False, None
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    above = low is None or (value > low if kwargs.get("strict_min") else value >= low)
    below = high is None or (value < high if kwargs.get("strict_max") else value <= high)
    return above and below, value
