"""The expectation suite: made from a model's first window, or given in its spec."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import yaml

from everfit.blocks.expectations import Expectation
from everfit.blocks.spec import ModelSpec
from everfit.tasks.workspace import Workspace

MAX_CATEGORIES = 50
"""A text column with more values than this is not expected to keep to those seen."""

_TOLERANT = 0.95
"""Share of rows that must keep to an inferred bound: what was seen once is a habit, not a law."""


def suite_of(spec: ModelSpec, workspace: Workspace) -> tuple[Expectation, ...] | None:
    """The suite that the spec gives or that was kept with the model; None before its first window."""
    if spec.expectations.suite is not None:
        return spec.expectations.suite
    path = _path(spec, workspace)
    if not workspace.exists(path):
        return None
    return tuple(Expectation.model_validate(entry) for entry in yaml.safe_load(workspace.read(path)))


def keep_suite(spec: ModelSpec, suite: tuple[Expectation, ...], workspace: Workspace) -> None:
    """Keep an inferred suite with the model, so that later windows answer to it."""
    entries = [expectation.model_dump(mode="json") for expectation in suite]
    workspace.write(_path(spec, workspace), yaml.safe_dump(entries, sort_keys=False).encode())


def _path(spec: ModelSpec, workspace: Workspace) -> str:
    return workspace.file(spec.name, "expectations.yaml")


def infer_suite(frame: pd.DataFrame, spec: ModelSpec) -> tuple[Expectation, ...]:
    """Make a suite from a window of good data, with room for ordinary variation.

    Strict are only those that can't be otherwise: a key is there and names one row, the event time is there.
    Ranges, categories and shares of missing values tolerate some rows that don't keep to them.

    Args:
        frame: The window's rows; everfit's own columns are left out.
        spec: Which columns are the key and the event time.
    """
    return tuple(_inferred(frame[[name for name in frame.columns if not name.startswith("_")]], spec))


def _inferred(frame: pd.DataFrame, spec: ModelSpec) -> Iterator[Expectation]:
    yield Expectation(type="expect_table_row_count_to_be_between", kwargs={"min_value": 1})
    for name in dict.fromkeys([*spec.columns.key, spec.columns.event_time]):
        yield Expectation(type="expect_column_values_to_not_be_null", kwargs={"column": name})
    if len(spec.columns.key) == 1:
        yield Expectation(type="expect_column_values_to_be_unique", kwargs={"column": spec.columns.key[0]})
    elif spec.columns.key:
        yield Expectation(type="expect_compound_columns_to_be_unique", kwargs={"column_list": list(spec.columns.key)})
    strict = {*spec.columns.key, spec.columns.event_time, spec.columns.label_time, *spec.columns.ignore}
    for name in frame.columns:
        if name not in strict:
            yield from _of_column(frame[name])


def _of_column(column: pd.Series) -> Iterator[Expectation]:
    name = str(column.name)
    present = column.dropna()
    yield Expectation(type="expect_column_to_exist", kwargs={"column": name})
    if present.empty:
        return
    # Twice the share of missing values that was seen, and five points more, is still ordinary.
    filled = round(max(0.0, 1 - 2 * float(column.isna().mean()) - 0.05), 3)
    if filled > 0:
        yield Expectation(type="expect_column_values_to_not_be_null", kwargs={"column": name, "mostly": filled})
    if pd.api.types.is_numeric_dtype(present.dtype):
        yield Expectation(
            type="expect_column_values_to_be_of_type", kwargs={"column": name, "type_": str(present.dtype)}
        )
        low, high = _room(present.to_numpy(dtype=np.float64))
        yield Expectation(
            type="expect_column_values_to_be_between",
            kwargs={"column": name, "min_value": low, "max_value": high, "mostly": _TOLERANT},
        )
    elif not isinstance(present.dtype, pd.DatetimeTZDtype):
        values = sorted(present.unique())
        if len(values) <= MAX_CATEGORIES:
            yield Expectation(
                type="expect_column_values_to_be_in_set",
                kwargs={"column": name, "value_set": values, "mostly": _TOLERANT},
            )


def _room(values: np.ndarray) -> tuple[float, float]:
    """The range seen, widened by its own width on either side; what was never negative stays so."""
    low, high = float(values.min()), float(values.max())
    width = high - low or abs(high) or 1.0
    widened = low - width
    return (0.0 if low >= 0 else _rounded(widened)), _rounded(high + width)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
