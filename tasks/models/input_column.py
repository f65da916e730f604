"""One input of a model: its type, its known categories, whether it may be null, and the check of a value."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from everfit.blocks.errors import DataError
from everfit.tasks.core.records import Record
from everfit.tasks.storage import kinds
from everfit.tasks.storage.times import KNOWN_BETWEEN, says_unknown
from everfit.tasks.storage.values import LARGEST, fold, to_kind

Kind = Literal["double", "long", "string", "boolean", "datetime"]

EXPECTED = {
    "double": "a finite number",
    "long": "a whole number of 64 bits",
    "string": "text",
    "boolean": "true or false",
    "datetime": "a time in ISO 8601, such as 2013-10-01T12:00:00Z",
}

_VALUE_KINDS: dict[Kind, kinds.Kind] = {
    "double": "decimal",
    "long": "integer",
    "string": "text",
    "boolean": "boolean",
    "datetime": "time",
}

_PLAIN: dict[kinds.Kind, type] = {"decimal": float, "whole": float, "duration": float, "integer": int, "text": str}
"""The type of JSON's values that need no conversion, by kind."""

_MEANINGS: dict[Kind, frozenset[kinds.Kind]] = {
    "double": frozenset({"decimal", "whole", "boolean", "duration"}),
    "long": frozenset({"integer"}),
    "string": kinds.TEXTUAL,
    "boolean": frozenset({"boolean"}),
    "datetime": frozenset({"time", "day"}),
}

_EXACT = 2**53  # floats hold whole numbers up to here exactly


class InputError(DataError):
    """An input that the model wasn't trained for.

    Attributes:
        column: Name of the column.
        row: Row of the request, from 0; None for the whole column.
        value: The refused value.
        expected: Description of the expected value.
    """

    def __init__(self, column: str, expected: str, value: object = None, row: int | None = None) -> None:
        self.column, self.row, self.value, self.expected = column, row, value, expected
        shown = repr(value)
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        where = f"column {column!r}" if row is None else f"column {column!r}, row {row}"
        super().__init__(f"{where}: expected {expected}" + ("" if row is None else f", got {shown}"))


class InputColumn(Record):
    """One input."""

    name: str
    kind: Kind
    nullable: bool = Field(default=False, description="Whether it was null in training.")
    categories: tuple[str, ...] | None = Field(default=None, description="Categories; None if unlimited.")
    meaning: kinds.Kind | None = Field(
        default=None, description="Kind of its values in the model's data; None for a model without such a record."
    )

    @cached_property
    def known(self) -> frozenset[str]:
        """Return the categories, for fast look-up."""
        return frozenset(self.categories or ())

    @property
    def value_kind(self) -> kinds.Kind:
        """Return the kind that values are brought to."""
        return self.meaning or _VALUE_KINDS[self.kind]


def describe_column(series: pd.Series, max_categories: int, meaning: kinds.Kind | None) -> InputColumn:
    """Describe an input by its training data.

    Args:
        series: The column; shape (rows,).
        max_categories: A text column with more values accepts new ones.
        meaning: Kind of the dataset's column, if it is known.
    """
    kind: Kind = "string"
    if pd.api.types.is_bool_dtype(series.dtype):
        kind = "boolean"
    elif pd.api.types.is_integer_dtype(series.dtype):
        kind = "long"
    elif pd.api.types.is_float_dtype(series.dtype):
        kind = "double"
    elif pd.api.types.is_datetime64_any_dtype(series.dtype):
        kind = "datetime"
    categories = None
    if kind == "string":
        seen = sorted(map(str, series.dropna().unique()))
        categories = tuple(seen) if 0 < len(seen) <= max_categories else None
    return InputColumn(
        name=str(series.name),
        kind=kind,
        nullable=bool(series.isna().any()),
        categories=categories,
        meaning=meaning if meaning is not None and kinds.plain(meaning) in _MEANINGS[kind] else None,
    )


def check_column(column: InputColumn, values: Sequence[Any], *, new_categories: bool = False) -> list[Any]:
    """Check one column's values; see `InputSchema.check`."""
    if len(values) > 1 and (right := _right_as_a_whole(column, values, new_categories)) is not None:
        return right
    check = _CHECKS[column.kind]
    return [check(column, _brought(column, value), row, new_categories) for row, value in enumerate(values)]


def _right_as_a_whole(column: InputColumn, values: Sequence[Any], new_categories: bool) -> list[Any] | None:
    """Return the checked values of a column of usual ones; None if each must be looked at."""
    kinds = set(map(type, values))
    right: Sequence[Any] | None = None
    match column.kind:
        case "double" if column.meaning != "boolean" and kinds == {float} and _are_usual(values):
            right = values
        case "long" if kinds == {int} and min(values) >= -(2**63) and max(values) < 2**63:
            right = values
        case "string" if kinds == {str} and column.known.issuperset(values):
            right = values
        case "string" if kinds == {str} and (new_categories or column.categories is None):
            right = list(map(fold, values)) if column.meaning == "folded" else values
        case "boolean" if kinds == {bool}:
            right = values
        case "datetime" if kinds == {str}:
            right = _usual_times(values)
    return None if right is None else list(right)


def _are_usual(values: Sequence[float]) -> bool:
    """Return whether all floats are numbers that models compute with."""
    return min(values) >= -LARGEST and max(values) <= LARGEST and math.isfinite(sum(values))  # a NaN fails the last


def _brought(column: InputColumn, value: Any) -> Any:
    """Return a value that is written in another way than JSON's own, as the model's data has it.

    A batch would bring the same value to the same kind. A value that can't be brought there is returned unchanged.
    """
    if column.meaning == "folded" and type(value) is str:
        return fold(value)
    if column.meaning is None or type(value) is _PLAIN.get(column.value_kind) or value is None:
        return value
    if column.kind == "datetime" or type(value) not in {bool, int, float, str}:
        return value
    if type(value) is int and column.kind == "double" and abs(value) > _EXACT:
        return value
    if type(value) is float and column.kind == "string" and not (value.is_integer() and abs(value) <= _EXACT):
        return value
    brought, bad = to_kind(pd.Series([value], dtype=object), column.value_kind)
    read = value if bad[0] else brought.tolist()[0]
    return bool(read) if column.kind == "boolean" and read in {0, 1} else read


def _refusal(column: InputColumn, value: object, row: int) -> InputError:
    is_null = value is None or column.kind == "datetime"  # of times, only those that are not known come here
    never_null = " (it was never null in training)" if is_null else ""
    meanings = {"boolean": "true or false", "duration": "a number of seconds"}
    expected = meanings.get(column.meaning or "", EXPECTED[column.kind])
    if isinstance(column.meaning, kinds.Amount) and column.meaning.unit:
        expected = f"a finite number, which may be written in {column.meaning.unit}"
    return InputError(column.name, expected + never_null, value, row)


def _double(column: InputColumn, value: Any, row: int, _: bool) -> float | None:
    if column.meaning == "boolean" and (type(value) not in {int, float} or value not in {0, 1}) and value is not None:
        raise _refusal(column, value, row)
    if type(value) is float and abs(value) <= LARGEST:
        return value
    if type(value) is float and math.isfinite(value):
        raise InputError(column.name, f"a number of at most {LARGEST:.1e}", value, row)
    if type(value) is int and -_EXACT <= value <= _EXACT:
        return float(value)
    if value is None and column.nullable:
        return None
    raise _refusal(column, value, row)


def _long(column: InputColumn, value: Any, row: int, _: bool) -> int | None:
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    if type(value) is float and value.is_integer() and abs(value) <= _EXACT:
        return int(value)
    if value is None and column.nullable:
        return None
    raise _refusal(column, value, row)


def _string(column: InputColumn, value: Any, row: int, new_categories: bool) -> str | None:
    if type(value) is str:
        if column.categories is not None and value not in column.known and not new_categories:
            known = column.categories
            listed = ", ".join(map(repr, known[:8])) + (f" and {len(known) - 8} more" if len(known) > 8 else "")
            raise InputError(column.name, f"a category known from training ({listed})", value, row)
        return value
    if value is None and column.nullable:
        return None
    raise _refusal(column, value, row)


def _boolean(column: InputColumn, value: Any, row: int, _: bool) -> bool | None:
    if type(value) is bool:
        return value
    if value is None and column.nullable:
        return None
    raise _refusal(column, value, row)


def _datetime(column: InputColumn, value: Any, row: int, _: bool) -> int | None:
    at = None if value is None else known_microseconds(value, column.name, row)
    if at is None and not column.nullable:
        raise _refusal(column, value, row)
    return at


_CHECKS = {"double": _double, "long": _long, "string": _string, "boolean": _boolean, "datetime": _datetime}


def times_of(values: Sequence[Any], column: str, absent: int) -> list[int]:
    """Read times as `microseconds` does, and those that are None as another one.

    Args:
        values: The times.
        column: Name of their column, for an error.
        absent: The time of a missing one, in microseconds since 1970.

    Raises:
        InputError: As `microseconds` does.
    """
    usual = _usual_times(values)
    if usual is not None:
        return usual
    return [absent if value is None else microseconds(value, column, row) for row, value in enumerate(values)]


def _usual_times(values: Sequence[Any]) -> list[int] | None:
    """Return times as `microseconds` does, if all are known and written with a zone; else None."""
    try:
        at = [(one - _EPOCH) // _MICROSECOND for one in map(datetime.fromisoformat, values)]
    except (TypeError, ValueError):  # one has no zone, or is none
        return None
    return at if at and min(at) > _FIRST_KNOWN_US and max(at) < _FIRST_UNKNOWN_US else None


def microseconds(value: object, column: str, row: int) -> int:
    """Read a time in ISO 8601 as microseconds since 1970; without an offset it is in UTC.

    Raises:
        InputError: If it isn't such a time, or one that says "not known", such as 9999-12-31.
    """
    at = known_microseconds(value, column, row)
    if at is None:
        raise InputError(column, "a time that is known; leave it out if it is not", value, row)
    return at


def known_microseconds(value: object, column: str, row: int) -> int | None:
    """Read a time as `microseconds` does; None for one that says "not known", as in rows of a source.

    Raises:
        InputError: If it isn't a time in ISO 8601.
    """
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        at = None
    if at is None:
        raise InputError(column, EXPECTED["datetime"], value, row)
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    if says_unknown(at):
        return None
    return (at - _EPOCH) // _MICROSECOND


_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_FIRST_KNOWN_US, _FIRST_UNKNOWN_US = ((one - _EPOCH) // _MICROSECOND for one in KNOWN_BETWEEN)


def column_array(column: InputColumn, values: Sequence[Any]) -> Any:
    """Return checked values as the array that the model predicts on; shape (rows,)."""
    if column.kind == "double":
        return np.array(values, dtype=np.float64)  # None becomes NaN
    if column.kind == "datetime":
        at = np.array([np.iinfo(np.int64).min if value is None else value for value in values], dtype="datetime64[us]")
        return pd.DatetimeIndex(at, tz="UTC")
    if None in values:
        return pd.array(list(values), dtype=NULLABLE[column.kind])  # type: ignore[call-overload]
    if column.kind == "string":
        return pd.array(list(values), dtype="str")
    return np.array(values, dtype=np.int64 if column.kind == "long" else np.bool_)


NULLABLE = {"long": "Int64", "boolean": "boolean", "string": "str"}
