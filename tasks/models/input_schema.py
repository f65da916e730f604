"""Describe a model's inputs: each one's type, its known categories, and whether it may be null.

The schema is made from the training data and saved with the model (in the metadata of MLflow's `MLmodel`), so that the
prediction service can refuse other inputs with the registry alone.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from everfit.blocks.errors import DataError
from everfit.tasks.core.records import Record
from everfit.tasks.models.input_column import (
    EXPECTED,
    NULLABLE,
    InputColumn,
    InputError,
    Kind,
    check_column,
    column_array,
    describe_column,
)
from everfit.tasks.statistics.columns import label
from everfit.tasks.storage import kinds
from everfit.tasks.storage.values import bring_known, to_kind

if TYPE_CHECKING:
    from everfit.tasks.models.logged_model import LoggedModel


METADATA_KEY = "everfit_inputs"
"""Name of the schema in the model's metadata."""

_SIGNATURE_KINDS: dict[str, Kind] = {
    "double": "double",
    "float": "double",
    "long": "long",
    "integer": "long",
    "string": "string",
    "boolean": "boolean",
    "datetime": "datetime",
}


class InputSchema(Record):
    """Inputs of a model, and the columns that identify a row."""

    task: Literal["binary", "multiclass", "regression"]
    features: tuple[InputColumn, ...]
    key: tuple[InputColumn, ...] = ()
    identity: tuple[str, ...] = Field(
        default=(), description="Without a key: the columns that together identify a row, for its label to find it."
    )
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
        identity: Sequence[str] = (),
        event_time: str = "event_time",
        max_categories: int = 1_000,
        target: str | None = None,
        meanings: Mapping[str, kinds.Kind] | None = None,
        prose: Collection[str] = (),
    ) -> "InputSchema":
        """Describe the inputs by training data.

        Args:
            frame: The training rows; shape (rows, columns).
            task: Kind of prediction.
            features: Features of the model, in its order.
            key: Key columns.
            identity: Without a key, the columns that together identify a row: the event time, and features.
            event_time: Column of the event time.
            max_categories: A text column with more values accepts new ones.
            target: The target.
            meanings: Kinds of the dataset's columns.
            prose: Features of free text, which accept any text, and none.

        Returns:
            The schema.
        """
        meanings = meanings or {}
        return cls(
            task=task,
            features=tuple(
                _of_prose(describe_column(frame[name], 0, meanings.get(name)))
                if name in prose
                else describe_column(frame[name], max_categories, meanings.get(name))
                for name in features
            ),
            key=tuple(describe_column(frame[name], 0, meanings.get(name)) for name in key),
            identity=tuple(identity),
            event_time=event_time,
            target=None if target is None else describe_column(frame[target], 0, meanings.get(target)),
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

    @cached_property
    def numbers(self) -> frozenset[str]:
        """Return the names of the features whose checked values are floats."""
        return frozenset(column.name for column in self.features if column.kind == "double")

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
                raise InputError(column.name, f"{EXPECTED[column.kind]}; the column is missing")
            if len(values) != rows:
                raise InputError(column.name, f"{rows} values; it has {len(values)}")
            checked[column.name] = check_column(column, values, new_categories=new_categories)
        return checked

    def in_arrays(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        """Return checked columns with the floats as arrays, for all who compute with them; None becomes NaN."""
        names = [name for name in columns if name in self.numbers]
        return {**columns, **dict(zip(names, np.array([columns[name] for name in names], np.float64), strict=True))}

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
                raise InputError(column.name, f"{EXPECTED[column.kind]}; the column is missing")
            series = rows[column.name]
            if column.kind == "datetime":
                continue
            if column.kind in NULLABLE and series.isna().any():
                if column.kind == "boolean":
                    rows[column.name] = series.astype("boolean")
                continue
            try:
                exact = column.kind != "string" or pd.api.types.is_string_dtype(series.dtype)
                rows[column.name] = series.astype(types[column.kind]) if exact else series.map(str).astype("str")
            except (ValueError, TypeError) as error:
                raise InputError(column.name, f"{EXPECTED[column.kind]}; it is {series.dtype}") from error
        return rows

    def frame(self, columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
        """Make the frame that the model predicts on from checked columns."""
        return pd.DataFrame(
            {column.name: column_array(column, columns[column.name]) for column in self.features}, copy=False
        )

    def example(self, typical: Mapping[str, float | str] | None = None) -> dict[str, Any]:
        """Return a made-up record that passes the check; it is no row of the training data.

        Args:
            typical: Mean of a number's column, most frequent value of a text column, by name. A column without one
                gets a placeholder.
        """
        typical = typical or {}
        return {column.name: _made_up(column, typical.get(column.name)) for column in self.features}

    def made_up_rows(self, typical: Mapping[str, float | str] | None = None) -> pd.DataFrame:
        """Return the made-up record of `example` as the model predicts on it; shape (1, features)."""
        record = self.example(typical)
        return self.frame(self.check({name: [value] for name, value in record.items()}, 1))

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


def _of_prose(column: InputColumn) -> InputColumn:
    return column.model_copy(update={"nullable": True, "categories": None})


def typical_values(frame: pd.DataFrame, features: Sequence[str]) -> dict[str, float | str]:
    """Return the mean of each column of numbers, and the most frequent value of each column of text.

    Args:
        frame: Rows; shape (rows, columns).
        features: The columns.
    """
    typical: dict[str, float | str] = {}
    for name in features:
        column = frame[name].dropna()
        if column.empty or pd.api.types.is_bool_dtype(column.dtype):
            continue
        if pd.api.types.is_numeric_dtype(column.dtype):
            typical[name] = float(column.astype("float64").mean())
        elif pd.api.types.is_string_dtype(column.dtype):
            typical[name] = str(column.mode().iloc[0])
    return typical


def _made_up(column: InputColumn, typical: float | str | None) -> Any:
    """Return a value that no single row gives away: a rounded mean, a frequent category, or a placeholder."""
    if column.kind == "boolean" or column.meaning == "boolean":
        return True
    if column.kind == "string":
        categories = column.categories or ("text",)
        return typical if typical in categories else categories[0]
    if column.kind == "datetime":
        return "2024-01-01T00:00:00Z"
    number = float(f"{typical:.2g}") if isinstance(typical, float) and math.isfinite(typical) else None
    if column.kind == "long":
        return 1 if number is None else round(number)
    if number is None:
        return 0.5
    return float(round(number)) if column.meaning == "whole" else number
