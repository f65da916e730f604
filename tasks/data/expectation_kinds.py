"""Tell what an expectation needs to be checked: single rows or all of them, and which columns."""

from collections.abc import Iterable
from typing import Any

from everfit.blocks.errors import SpecError
from everfit.blocks.expectations import Expectation

# These name single rows, but the result of each row depends on the other rows.
_NEEDS_ALL_ROWS = frozenset(
    {
        "expect_column_values_to_be_unique",
        "expect_compound_columns_to_be_unique",
        "expect_column_values_to_be_increasing",
        "expect_column_values_to_be_decreasing",
        "expect_column_value_z_scores_to_be_less_than",
    }
)
# These check the names and types of columns alone, which are the same in every chunk.
_NEEDS_NO_ROWS = frozenset(
    {
        "expect_column_to_exist",
        "expect_column_values_to_be_of_type",
        "expect_column_values_to_be_in_type_list",
        "expect_table_columns_to_match_ordered_list",
        "expect_table_columns_to_match_set",
        "expect_table_column_count_to_equal",
        "expect_table_column_count_to_be_between",
    }
)


def is_strict(expectation: Expectation) -> bool:
    """Return whether each unexpected row is bad."""
    return float(expectation.kwargs.get("mostly", 1.0)) >= 1.0


def runs_by_row(expectation: Expectation) -> bool:
    """Return whether the results of chunks of rows add up to that of all rows.

    Raises:
        SpecError: If Great Expectations doesn't know the expectation.
    """
    from great_expectations.exceptions.exceptions import ExpectationNotFoundError
    from great_expectations.expectations.expectation import (
        ColumnMapExpectation,
        ColumnPairMapExpectation,
        MulticolumnMapExpectation,
    )
    from great_expectations.expectations.registry import get_expectation_impl

    if expectation.type in _NEEDS_NO_ROWS:
        return True
    try:
        kind = get_expectation_impl(expectation.type)
    except ExpectationNotFoundError as error:
        raise SpecError(f"expectations.suite: there is no {expectation.type!r} in Great Expectations") from error
    by_row = issubclass(kind, ColumnMapExpectation | ColumnPairMapExpectation | MulticolumnMapExpectation)
    return by_row and expectation.type not in _NEEDS_ALL_ROWS


def named_columns(expectation: Expectation) -> list[str] | None:
    """Return the columns that an expectation names, or None if it names none or has a condition on others."""
    kwargs = expectation.kwargs
    if kwargs.get("row_condition"):
        return None
    named = [kwargs[name] for name in ("column", "column_A", "column_B") if isinstance(kwargs.get(name), str)]
    for name in ("column_list", "column_set"):
        listed: Iterable[Any] = kwargs.get(name) or ()
        named += [name for name in listed if isinstance(name, str)]
    return list(dict.fromkeys(named)) or None


def columns_read(expectation: Expectation) -> list[str] | None:
    """Return the columns that a check reads; None for all: a table may have others than its expectation names."""
    return None if expectation.type.startswith("expect_table_") else named_columns(expectation)


def is_existence(expectation: Expectation) -> bool:
    """Return whether it only says that a column is there, which needs no check by Great Expectations."""
    return expectation.type == "expect_column_to_exist" and set(expectation.kwargs) == {"column"}
