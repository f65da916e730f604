"""The expectation suite: made from a model's first window, or given in its spec."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import yaml

from everfit.blocks.expectations import Expectation
from everfit.blocks.spec import ModelSpec
from everfit.tasks.storage.workspace import Workspace

MAX_CATEGORIES = 50
"""A text column with more values than this is not expected to keep to those seen."""

SAMPLE_ROWS = 200_000
"""A suite is made from about so many rows at most."""

_TOLERANT = 0.95
"""Share of rows that must keep to an inferred bound: what was seen once is a habit, not a law."""

_TREND = 0.8
"""From this rank correlation with time on, a column is on its way somewhere and has no bounds."""


def suite_of(spec: ModelSpec, workspace: Workspace) -> tuple[Expectation, ...] | None:
    """The suite that the spec gives or that was kept with the model; None before its first window."""
    if spec.expectations.suite is not None:
        return spec.expectations.suite
    path = suite_path(spec, workspace)
    return read_suite(workspace.read(path)) if workspace.exists(path) else None


def keep_suite(spec: ModelSpec, suite: tuple[Expectation, ...], workspace: Workspace) -> None:
    """Keep an inferred suite with the model, so that later windows answer to it."""
    workspace.write(suite_path(spec, workspace), write_suite(suite))


def read_suite(content: bytes) -> tuple[Expectation, ...]:
    """A suite from YAML."""
    return tuple(Expectation.model_validate(entry) for entry in yaml.safe_load(content) or [])


def write_suite(suite: tuple[Expectation, ...]) -> bytes:
    """A suite as YAML, in Great Expectations' own names and arguments."""
    entries = [expectation.model_dump(mode="json") for expectation in suite]
    return yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120).encode()


def suite_path(spec: ModelSpec, workspace: Workspace) -> str:
    """Where an inferred suite is kept."""
    return workspace.file(spec.name, "expectations.yaml")


def is_key_check(expectation: Expectation, key: tuple[str, ...]) -> bool:
    """Whether an expectation says that the spec's key names one row, which matching looks after by itself."""
    if expectation.type == "expect_column_values_to_be_unique":
        return (expectation.kwargs.get("column"),) == key and expectation.kwargs.get("mostly", 1) == 1
    if expectation.type == "expect_compound_columns_to_be_unique":
        return set(expectation.kwargs.get("column_list", ())) == set(key)
    return False


def infer_suite(frame: pd.DataFrame, spec: ModelSpec) -> tuple[Expectation, ...]:
    """Make a suite from a window of good data, with room for ordinary variation.

    Strict are only those that can't be otherwise: a key is there and names one row, the event time is there.
    Ranges, categories and shares of missing values tolerate some rows that don't keep to them; a column that moves
    with time, or whose categories come and go, has no bounds at all.

    Args:
        frame: Rows of the window; everfit's own columns are left out.
        spec: Which columns are the key and the event time.
    """
    times = spec.columns.event_time
    if times is not None:
        frame = frame.sort_values(times, kind="stable")
    own = [name for name in frame.columns if name.startswith("_")]
    return tuple(_inferred(frame.drop(columns=own).reset_index(drop=True), spec))


def _inferred(frame: pd.DataFrame, spec: ModelSpec) -> Iterator[Expectation]:
    roles = spec.columns
    yield Expectation(type="expect_table_row_count_to_be_between", kwargs={"min_value": 1})
    needed = [*roles.key, *filter(None, [roles.event_time])]
    for name in dict.fromkeys(needed):
        yield Expectation(type="expect_column_values_to_not_be_null", kwargs={"column": name})
    if len(roles.key) == 1:
        yield Expectation(type="expect_column_values_to_be_unique", kwargs={"column": roles.key[0]})
    elif roles.key:
        yield Expectation(type="expect_compound_columns_to_be_unique", kwargs={"column_list": list(roles.key)})
    left_out = {*needed, roles.label_time, *roles.ignore}
    for name in frame.columns:
        if name not in left_out:
            yield from _of_column(frame[name], timed=roles.event_time is not None, is_target=name == roles.target)


def _of_column(column: pd.Series, *, timed: bool, is_target: bool) -> Iterator[Expectation]:
    name = str(column.name)
    present = column.dropna()
    yield Expectation(type="expect_column_to_exist", kwargs={"column": name})
    if present.empty:
        return
    # Twice the share of missing values that was seen, and five points more, is still ordinary; labels come late.
    filled = round(max(0.0, 1 - 2 * float(column.isna().mean()) - 0.05), 3)
    if filled > 0 and not is_target:
        yield Expectation(type="expect_column_values_to_not_be_null", kwargs={"column": name, "mostly": filled})
    if pd.api.types.is_numeric_dtype(present.dtype):
        if timed and _moves_with_time(present):
            return
        low, high = _room(present.to_numpy(dtype=np.float64))
        yield Expectation(
            type="expect_column_values_to_be_between",
            kwargs={"column": name, "min_value": low, "max_value": high, "mostly": _TOLERANT},
        )
    elif not isinstance(present.dtype, pd.DatetimeTZDtype):
        values = sorted(present.unique())
        if len(values) <= MAX_CATEGORIES and not (timed and _comes_and_goes(present)):
            yield Expectation(
                type="expect_column_values_to_be_in_set",
                kwargs={"column": name, "value_set": values, "mostly": _TOLERANT},
            )


def _moves_with_time(present: pd.Series) -> bool:
    """Whether values rise or fall from the first row to the last: years, counters, a price in inflation."""
    if len(present) < 30 or present.nunique() == 1:
        return False
    order = pd.Series(np.arange(len(present), dtype=np.float64))
    ranks = present.reset_index(drop=True).rank()
    return bool(abs(float(np.corrcoef(order, ranks)[0, 1])) >= _TREND)


def _comes_and_goes(present: pd.Series) -> bool:
    """Whether a tenth of the window held categories that the tenths before had (almost) none of: months, versions."""
    if len(present) < 200:
        return False
    codes, values = pd.factorize(present)
    parts = np.array_split(codes, 10)
    seen = np.zeros(len(values), dtype=np.bool_)
    for position, part in enumerate(parts):
        if position >= 5 and float((~seen[part]).mean()) > 1 - _TOLERANT:
            return True
        seen[part] = True
    return False


def _room(values: np.ndarray) -> tuple[float, float]:
    """The range seen, widened by its own width on either side; what was never negative stays so."""
    values = values[np.isfinite(values)] if np.isfinite(values).any() else np.zeros(1)
    low, high = float(values.min()), float(values.max())
    width = high - low or abs(high) or 1.0
    widened = low - width
    return (0.0 if low >= 0 else _rounded(widened)), _rounded(high + width)


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
