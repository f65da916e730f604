"""Infer a model's expectation suite from its first window, or read it from the spec."""

import hashlib
from collections.abc import Callable, Collection, Iterator
from typing import Any

import numpy as np
import pandas as pd
import yaml

from everfit.blocks.expectations import Expectation
from everfit.blocks.spec import ModelSpec
from everfit.tasks.storage.workspace import Workspace

MAX_CATEGORIES = 50
"""A text column with more values isn't restricted to the observed ones."""

SAMPLE_ROWS = 200_000
"""Approximate maximum number of rows to infer a suite from."""

_TOLERANT = 0.95
"""Share of rows that must satisfy an inferred bound, because one window doesn't show every value."""

_TREND = 0.8
"""A column with at least this rank correlation with time gets no bounds, because it keeps moving."""

_ROOM = 0.05
"""Share of missing values beyond the expected one that is still ordinary."""
_FEWEST_IN_WINDOW, _FEWEST_WINDOWS, _TREND_WINDOWS = 30, 4, 8
"""Rows of a window, windows, and windows of a trend, below which shares of missing values tell nothing."""

_OF_EVERFIT, _OF_A_PERSON = "# Inferred by everfit, digest ", "# Accepted by a person"
"""First lines of a kept suite: one that everfit inferred, with the digest of its other lines, or one to keep to."""


def suite_of(spec: ModelSpec, workspace: Workspace) -> tuple[Expectation, ...] | None:
    """Return the suite in the spec or the inferred suite, or None before the first window."""
    if spec.expectations.suite is not None:
        return spec.expectations.suite
    path = suite_path(spec, workspace)
    return read_suite(workspace.read(path)) if workspace.exists(path) else None


def keep_suite(
    spec: ModelSpec, suite: tuple[Expectation, ...], workspace: Workspace, *, accepted: bool = False
) -> None:
    """Keep a suite for later windows.

    Args:
        spec: Spec of the model.
        suite: The suite.
        workspace: Workspace of the model.
        accepted: Whether a person accepted it, so that it doesn't yield to measured quality.
    """
    content = write_suite(suite)
    first = _OF_A_PERSON if accepted else f"{_OF_EVERFIT}{_digest(content)}"
    workspace.write(suite_path(spec, workspace), first.encode() + b"\n" + content)


def suite_yields(spec: ModelSpec, workspace: Workspace) -> bool:
    """Return whether the model's tolerant expectations yield to measured quality: nobody wrote or accepted them.

    A kept suite that a person edited has another digest. Suites that an earlier everfit kept have no first line, and
    count as inferred.
    """
    path = suite_path(spec, workspace)
    if spec.expectations.suite is not None or not workspace.exists(path):
        return False
    first, _, content = workspace.read(path).partition(b"\n")
    line = first.decode(errors="replace")
    return not line.startswith("#") or line == f"{_OF_EVERFIT}{_digest(content)}"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def is_tolerant(expectation: Expectation) -> bool:
    """Return whether some rows may fail an expectation: an inferred bound, and no rule without exceptions."""
    return float(expectation.kwargs.get("mostly", 1.0)) < 1.0


def read_suite(content: bytes) -> tuple[Expectation, ...]:
    """Read a suite from YAML."""
    return tuple(Expectation.model_validate(entry) for entry in yaml.safe_load(content) or [])


def write_suite(suite: tuple[Expectation, ...]) -> bytes:
    """Return a suite as YAML, in Great Expectations' own names and arguments."""
    entries = [expectation.model_dump(mode="json") for expectation in suite]
    return yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120).encode()


def suite_path(spec: ModelSpec, workspace: Workspace) -> str:
    """Return the path of an inferred suite."""
    return workspace.file(spec.name, "expectations.yaml")


def is_key_check(expectation: Expectation, key: tuple[str, ...]) -> bool:
    """Return whether an expectation requires a unique key, which deduplication ensures by itself."""
    if expectation.type == "expect_column_values_to_be_unique":
        return (expectation.kwargs.get("column"),) == key and expectation.kwargs.get("mostly", 1) == 1
    if expectation.type == "expect_compound_columns_to_be_unique":
        return set(expectation.kwargs.get("column_list", ())) == set(key)
    return False


def infer_suite(frame: pd.DataFrame, spec: ModelSpec) -> tuple[Expectation, ...]:
    """Infer a suite from a window of good data, with tolerance for ordinary variation.

    Only rules without exceptions are strict: the key exists and names one row, and the event time exists. Ranges,
    categories and shares of missing values tolerate some exceptions. A column that moves with time, or whose categories
    come and go, gets no bounds. How many values may be missing is learnt from windows as monitoring has them, because
    the share in all rows together says nothing about how much it varies.

    Args:
        frame: Rows of the window; everfit's own columns are ignored.
        spec: Roles of the columns.
    """
    times = spec.columns.event_time
    if times is not None:
        frame = frame.sort_values(times, kind="stable")
    own = [name for name in frame.columns if name.startswith("_")]
    return tuple(_inferred(frame.drop(columns=own).reset_index(drop=True), spec))


def loosest(first: tuple[Expectation, ...], second: tuple[Expectation, ...]) -> tuple[Expectation, ...]:
    """Return the suite that rows of either kind meet: what both infer, with the wider bounds.

    Args:
        first: Inferred from some rows.
        second: Inferred from other rows.
    """
    others = {(expectation.type, str(expectation.kwargs.get("column"))): expectation for expectation in second}
    both = [
        (expectation, others.get((expectation.type, str(expectation.kwargs.get("column"))))) for expectation in first
    ]
    return tuple(
        expectation.model_copy(update={"kwargs": _looser(expectation.kwargs, other.kwargs)})
        for expectation, other in both
        if other is not None
    )


def without_bounds(suite: tuple[Expectation, ...], columns: Collection[str]) -> tuple[Expectation, ...]:
    """Return a suite without its tolerant expectations on some columns, which one window was too short to know.

    Args:
        suite: An inferred suite.
        columns: Columns whose values have changed for good.
    """
    return tuple(
        expectation
        for expectation in suite
        if not is_tolerant(expectation) or str(expectation.kwargs.get("column")) not in set(columns)
    )


def _looser(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    widest: dict[str, Callable[[Any, Any], Any]] = {
        "min_value": min,
        "max_value": max,
        "mostly": min,
        "value_set": lambda mine, theirs: sorted({*mine, *theirs}),
    }
    return {name: widest[name](value, other[name]) if name in widest else value for name, value in one.items()}


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
    windows = _windows(frame, spec)
    for name in frame.columns:
        if name not in left_out:
            timed = roles.event_time is not None
            inferred = _of_column(frame[name], windows, timed=timed, is_target=name == roles.target)
            free = {"expect_column_values_to_be_in_set"} if name in roles.text else set()
            yield from (expectation for expectation in inferred if expectation.type not in free)


def _windows(frame: pd.DataFrame, spec: ModelSpec) -> np.ndarray | None:
    """Return the number of each row's window, back from the newest row, shape (rows,); None if windows tell nothing."""
    name = spec.columns.event_time
    if name is None or not pd.api.types.is_datetime64_any_dtype(frame[name].dtype):
        return None
    times = frame[name]
    ages = ((times.max() - times) / spec.monitoring.window).fillna(0).to_numpy()
    return np.asarray(np.floor(ages), dtype=np.int64)


def _of_column(column: pd.Series, windows: np.ndarray | None, *, timed: bool, is_target: bool) -> Iterator[Expectation]:
    name = str(column.name)
    present = column.dropna()
    yield Expectation(type="expect_column_to_exist", kwargs={"column": name})
    if present.empty:
        return
    filled = round(max(0.0, 1 - _ordinarily_missing(column.isna().to_numpy(), windows)), 3)
    if filled > 0 and not is_target:  # labels come late
        yield Expectation(type="expect_column_values_to_not_be_null", kwargs={"column": name, "mostly": filled})
    if pd.api.types.is_numeric_dtype(present.dtype):
        if timed and (_moves_with_time(present) or _is_code_of_time(present)):
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


def _ordinarily_missing(missing: np.ndarray, windows: np.ndarray | None) -> float:
    """Return up to which share of missing values a window is ordinary; 1 if that share moves with time.

    Twice the share in all rows, or the largest share of a window and the width of their range, whichever is more; and
    five points.
    """
    allowed = 2 * float(missing.mean()) + _ROOM
    if windows is None or not missing.any():
        return allowed
    rows = np.bincount(windows)
    enough = rows >= _FEWEST_IN_WINDOW
    shares = np.bincount(windows, weights=missing)[enough] / rows[enough]
    if len(shares) < _FEWEST_WINDOWS:
        return allowed
    width = float(np.ptp(shares))
    ranks = pd.Series(shares).rank().to_numpy()
    if len(shares) >= _TREND_WINDOWS and width > _ROOM:
        moves = abs(float(np.corrcoef(np.arange(len(ranks)), ranks)[0, 1])) >= _TREND
        if moves:
            return 1.0
    return max(allowed, float(shares.max()) + width + _ROOM)


def _moves_with_time(present: pd.Series) -> bool:
    """Return whether values rise or fall through the window, such as years, counters or prices."""
    if len(present) < 30 or present.nunique() == 1:
        return False
    order = pd.Series(np.arange(len(present), dtype=np.float64))
    ranks = present.reset_index(drop=True).rank()
    return bool(abs(float(np.corrcoef(order, ranks)[0, 1])) >= _TREND)


def _is_code_of_time(present: pd.Series) -> bool:
    """Return whether numbers are few, and newer rows have other ones than older rows, such as seasons from 1 to 4."""
    return present.nunique() <= MAX_CATEGORIES and _comes_and_goes(present)


def _comes_and_goes(present: pd.Series) -> bool:
    """Return whether a tenth of the window has categories that earlier tenths (almost) lacked, such as months."""
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
    """Return the observed range, extended by its width on both sides; non-negative values stay non-negative."""
    values = values[np.isfinite(values)] if np.isfinite(values).any() else np.zeros(1)
    low, high = float(values.min()), float(values.max())
    width = high - low or abs(high) or 1.0
    return (0.0 if low >= 0 else _rounded(low - width, width)), _rounded(high + width, width)


def _rounded(value: float, width: float) -> float:
    """Return a bound with four digits, or with as many as the width of the range needs."""
    rounded = float(f"{value:.4g}")
    return rounded if abs(rounded - value) <= width / 10 else float(f"{value:.17g}")
