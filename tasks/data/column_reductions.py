"""The rows of a part that decide an expectation on a whole column: those of all parts have its result."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from everfit.blocks.expectations import Expectation

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
"""Means, sums, quantiles and shares of distinct values need all values, or would be other in the last digits."""


def is_reducible(expectation: Expectation) -> bool:
    """Return whether some rows of each part decide an expectation."""
    return expectation.type in _REDUCTIONS and not expectation.kwargs.get("row_condition")


def reduced(frame: pd.DataFrame, expectation: Expectation) -> pd.DataFrame:
    """Return the column of a reducible expectation, with the rows that decide it; at least one row if there is any.

    Args:
        frame: Rows of a part; shape (rows, any).
        expectation: The expectation.
    """
    column = expectation.kwargs["column"]
    values = frame[column]
    chosen = _REDUCTIONS[expectation.type](values.dropna())
    return (chosen if len(chosen) else values.head(1)).to_frame()
