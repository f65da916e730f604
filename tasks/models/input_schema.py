"""Describe a model's inputs: each one's type, its known categories, and whether it may be null.

The schema is made from the training data and saved with the model (in the metadata of MLflow's `MLmodel`), so that the
prediction service can refuse other inputs with the registry alone.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from everfit.blocks.errors import DataError
from everfit.tasks.core.records import Record
from everfit.tasks.statistics.columns import label
from everfit.tasks.storage import kinds
from everfit.tasks.storage.values import bring_known, to_kind

if TYPE_CHECKING:
    from everfit.tasks.models.logged_model import LoggedModel

Kind = Literal["double", "long", "string", "boolean", "datetime"]

METADATA_KEY = "everfit_inputs"
"""Name of the schema in the model's metadata."""

_EXPECTED = {
    "double": "a finite number",
    "long": "a whole number of 64 bits",
    "string": "text",
    "boolean": "true or false",
    "datetime": "a time in ISO 8601, such as 2013-10-01T12:00:00Z",
}
_SIGNATURE_KINDS: dict[str, Kind] = {
    "double": "double",
    "float": "double",
    "long": "long",
    "integer": "long",
    "string": "string",
    "boolean": "boolean",
    "datetime": "datetime",
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
    "string": frozenset({"text"}),
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


class InputSchema(Record):
    """Inputs of a model, and the columns that identify a row."""

    task: Literal["binary", "multiclass", "regression"]
    features: tuple[InputColumn, ...]
    key: tuple[InputColumn, ...] = ()
    event_time: str = "event_time"
    target: InputColumn | None = Field(default=None, description="The target; None for a model without such a record.")

    @classmethod
    def of_frame(
        cls,
        frame: pd.DataFrame,
        *,
        task: Literal["binary", "multiclass", "regression"],
        features: Sequence[str],
        key: Sequence[str] = (),
        event_time: str = "event_time",
        max_categories: int = 1_000,
        target: str | None = None,
        meanings: Mapping[str, kinds.Kind] | None = None,
    ) -> "InputSchema":
        """Describe the inputs by training data.

        Args:
            frame: The training rows; shape (rows, columns).
            task: Kind of prediction.
            features: Features of the model, in its order.
            key: Key columns.
            event_time: Column of the event time.
            max_categories: A text column with more values accepts new ones.
            target: The target.
            meanings: Kinds of the dataset's columns.

        Returns:
            The schema.
        """
        meanings = meanings or {}
        return cls(
            task=task,
            features=tuple(_describe(frame[name], max_categories, meanings.get(name)) for name in features),
            key=tuple(_describe(frame[name], 0, meanings.get(name)) for name in key),
            event_time=event_time,
            target=None if target is None else _describe(frame[target], 0, meanings.get(target)),
        )

    @classmethod
    def of_model(cls, model: "LoggedModel", task: Literal["binary", "multiclass", "regression"]) -> "InputSchema":
        """Read the schema of a logged model, or derive it from the MLflow signature if everfit didn't log the model.

        Args:
            model: The logged model.
            task: Kind of prediction, for a model without a schema.

        Raises:
            DataError: If the model has no signature with named columns.
        """
        saved = model.metadata.get(METADATA_KEY)
        if saved is not None:
            return cls.model_validate_json(saved)
        features = []
        for item in model.signature:
            if item.name is None:
                continue
            kind = _SIGNATURE_KINDS.get(item.type)
            if kind is None:
                raise DataError(
                    f"column {item.name!r} of its signature is {item.type!r}, which can't be served; use one of "
                    f"{', '.join(_SIGNATURE_KINDS)}"
                )
            features.append(InputColumn(name=item.name, kind=kind, nullable=not item.required))
        if not features or len(features) != len(model.signature):
            raise DataError("the model has no signature with named columns; log it with `signature=infer_signature(…)`")
        return cls(task=task, features=tuple(features))

    def metadata(self) -> dict[str, str]:
        """Return the `metadata` to log with the model."""
        return {METADATA_KEY: self.canonical_json()}

    @property
    def columns(self) -> dict[str, InputColumn]:
        """Return the features, by name."""
        return {column.name: column for column in self.features}

    def check(
        self, columns: Mapping[str, Sequence[Any]], rows: int, *, new_categories: bool = False
    ) -> dict[str, list[Any]]:
        """Check a request's columns.

        Args:
            columns: JSON values by column; columns that aren't features are ignored.
            rows: Number of rows.
            new_categories: Whether to accept categories that the training data lacks.

        Returns:
            The features in the model's order; times as microseconds since 1970, in UTC.

        Raises:
            InputError: If a value is wrong; the first is reported.
        """
        checked = {}
        for column in self.features:
            values = columns.get(column.name, columns.get(f"_{column.name}"))
            if values is None:
                raise InputError(column.name, f"{_EXPECTED[column.kind]}; the column is missing")
            if len(values) != rows:
                raise InputError(column.name, f"{rows} values; it has {len(values)}")
            checked[column.name] = check_column(column, values, new_categories=new_categories)
        return checked

    def bring(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Bring the features and the key of a source's rows to their kinds, with the reasons of bad rows in `_faults`.

        Args:
            rows: Rows with all features and the key, indexed from 0.
        """
        return bring_known(rows, {column.name: column.value_kind for column in (*self.features, *self.key)})

    def conform(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Cast a source's rows to the types that the model was trained with.

        Raises:
            InputError: If a column is missing, or has values of another type.
        """
        types: dict[str, Any] = {"double": "float64", "string": "str", "boolean": "bool", "long": "int64"}
        rows = rows.copy(deep=False)
        for column in (*self.features, *self.key):
            if column.name not in rows:
                raise InputError(column.name, f"{_EXPECTED[column.kind]}; the column is missing")
            series = rows[column.name]
            if column.kind == "datetime":
                continue
            if column.kind in _NULLABLE and series.isna().any():
                if column.kind == "boolean":
                    rows[column.name] = series.astype("boolean")
                continue
            try:
                exact = column.kind != "string" or pd.api.types.is_string_dtype(series.dtype)
                rows[column.name] = series.astype(types[column.kind]) if exact else series.map(str).astype("str")
            except (ValueError, TypeError) as error:
                raise InputError(column.name, f"{_EXPECTED[column.kind]}; it is {series.dtype}") from error
        return rows

    def frame(self, columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
        """Make the frame that the model predicts on from checked columns."""
        return pd.DataFrame({column.name: _array(column, columns[column.name]) for column in self.features}, copy=False)

    def example(self) -> dict[str, Any]:
        """Return a record that passes the check."""
        samples: dict[str, Any] = {
            "double": 0.5, "long": 1, "string": "text", "boolean": True, "datetime": "2024-01-01T00:00:00Z",
        }  # fmt: skip
        return {
            column.name: column.categories[0]
            if column.categories
            else samples["boolean" if column.meaning == "boolean" else column.kind]
            for column in self.features
        }

    def answer(self, value: Any) -> Any:
        """Return a predicted class as the data has it: true or false of a target of booleans, else the class itself."""
        has_booleans = self.target is not None and self.target.meaning == "boolean"
        return bool(value) if has_booleans and value in {0, 1} else value

    def known_label(self, value: Any, classes: Sequence[Any]) -> Any:
        """Return the class that a label names, or None.

        Args:
            value: The label as JSON has it, as text, or as the prediction log writes it.
            classes: Classes of the model.
        """
        named = {str(known): known for known in classes}
        if self.target is not None and self.target.meaning is not None and type(value) in {bool, int, float, str}:
            brought, bad = to_kind(pd.Series([value], dtype=object), self.target.value_kind)
            if not bad[0]:
                return named.get(label(brought.tolist()[0]))
        if isinstance(value, bool) or not isinstance(value, str | int):
            return None
        return named.get(str(value))


def _describe(series: pd.Series, max_categories: int, meaning: kinds.Kind | None) -> InputColumn:
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
        meaning=meaning if meaning in _MEANINGS[kind] else None,
    )


def check_column(column: InputColumn, values: Sequence[Any], *, new_categories: bool = False) -> list[Any]:
    """Check one column's values; see `InputSchema.check`."""
    if len(values) > 1:  # most columns are right as a whole
        kinds = set(map(type, values))
        plain = column.kind == "double" and column.meaning != "boolean"
        if plain and kinds == {float} and all(map(math.isfinite, values)):
            return list(values)
        if column.kind == "string" and kinds == {str} and (new_categories or column.categories is None):
            return list(values)
        if column.kind == "string" and kinds == {str} and column.known.issuperset(values):
            return list(values)
        if column.kind == "boolean" and kinds == {bool}:
            return list(values)
    check = _CHECKS[column.kind]
    return [check(column, _brought(column, value), row, new_categories) for row, value in enumerate(values)]


def _brought(column: InputColumn, value: Any) -> Any:
    """Return a value that is written in another way than JSON's own, as the model's data has it.

    A batch would bring the same value to the same kind. A value that can't be brought there is returned unchanged.
    """
    if column.meaning is None or type(value) is _PLAIN.get(column.value_kind) or value is None:
        return value
    if column.kind == "datetime" or type(value) not in {bool, int, float, str}:
        return value
    if type(value) is int and column.kind == "double" and abs(value) > _EXACT:
        return value
    if type(value) is float and column.kind == "string" and not (value.is_integer() and abs(value) <= _EXACT):
        return value
    brought, bad = to_kind(pd.Series([value], dtype=object), column.value_kind)
    return value if bad[0] else brought.tolist()[0]


def _refusal(column: InputColumn, value: object, row: int) -> InputError:
    never_null = " (it was never null in training)" if value is None else ""
    expected = {"boolean": "true or false", "duration": "a number of seconds"}.get(
        column.meaning or "", _EXPECTED[column.kind]
    )
    return InputError(column.name, expected + never_null, value, row)


def _double(column: InputColumn, value: Any, row: int, _: bool) -> float | None:
    if column.meaning == "boolean" and (type(value) not in {int, float} or value not in {0, 1}) and value is not None:
        raise _refusal(column, value, row)
    if type(value) is float and math.isfinite(value):
        return value
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
    if value is None:
        if column.nullable:
            return None
        raise _refusal(column, value, row)
    return microseconds(value, column.name, row)


_CHECKS = {"double": _double, "long": _long, "string": _string, "boolean": _boolean, "datetime": _datetime}


def microseconds(value: object, column: str, row: int) -> int:
    """Read a time in ISO 8601 as microseconds since 1970; without an offset it is in UTC.

    Raises:
        InputError: If it isn't such a time, or not between the years 1900 and 2200.
    """
    if isinstance(value, str):
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            at = None
        if at is not None and 1900 < at.year < 2200:
            at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
            delta = at - _EPOCH
            return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
    raise InputError(column, _EXPECTED["datetime"], value, row)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _array(column: InputColumn, values: Sequence[Any]) -> Any:
    if column.kind == "double":
        return np.array(values, dtype=np.float64)  # None becomes NaN
    if column.kind == "datetime":
        at = np.array([np.iinfo(np.int64).min if value is None else value for value in values], dtype="datetime64[us]")
        return pd.DatetimeIndex(at, tz="UTC")
    if None in values:
        return pd.array(list(values), dtype=_NULLABLE[column.kind])  # type: ignore[call-overload]
    if column.kind == "string":
        return pd.array(list(values), dtype="str")
    return np.array(values, dtype=np.int64 if column.kind == "long" else np.bool_)


_NULLABLE = {"long": "Int64", "boolean": "boolean", "string": "str"}
