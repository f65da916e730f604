"""Suites that yield: to rows of refused batches, and to columns that have changed for good."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.training import a_spec

from everfit.blocks.expectations import Expectation
from everfit.tasks.data.suite import (
    infer_suite,
    keep_suite,
    loosest,
    suite_of,
    suite_path,
    suite_yields,
    without_bounds,
    write_suite,
)
from everfit.tasks.storage.workspace import Workspace

SPEC = a_spec(columns={"key": ["id"], "event_time": None, "label_time": None})


def rows(**changes: object) -> pd.DataFrame:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "id": np.arange(200),
            "x": random.uniform(0, 10, 200),
            "color": random.choice(["blue", "red"], 200),
            "y": random.integers(0, 2, 200).astype(float),
        }
    )
    return frame.assign(**changes)


def of(suite: tuple[Expectation, ...], column: str) -> dict[str, dict[str, object]]:
    return {item.type: item.kwargs for item in suite if item.kwargs.get("column") == column}


def test_both_kinds_of_rows_meet_the_loosest_suite() -> None:
    one, other = infer_suite(rows(), SPEC), infer_suite(rows(x=lambda f: f["x"] + 100, color="green"), SPEC)
    result = loosest(one, other)
    assert of(result, "color")["expect_column_values_to_be_in_set"]["value_set"] == ["blue", "green", "red"]
    between = of(result, "x")["expect_column_values_to_be_between"]
    assert between["min_value"] == 0
    assert between["max_value"] == of(other, "x")["expect_column_values_to_be_between"]["max_value"]
    assert of(result, "id") == of(one, "id")


def test_a_column_that_comes_empty_has_no_bounds_left() -> None:
    result = loosest(infer_suite(rows(), SPEC), infer_suite(rows(x=np.nan), SPEC))
    assert of(result, "x").keys() == {"expect_column_to_exist"}
    assert of(result, "color") == of(infer_suite(rows(), SPEC), "color")


def test_tolerant_expectations_yield_and_strict_ones_stay() -> None:
    suite = infer_suite(rows(), SPEC)
    result = without_bounds(suite, ["x", "id"])
    assert of(result, "x").keys() == {"expect_column_to_exist"}
    assert of(result, "id") == of(suite, "id")
    assert of(result, "color") == of(suite, "color")


TIMED = a_spec(columns={"key": ["id"], "event_time": "at", "label_time": None})


def reports(shares: list[float], rows_of_window: int = 100) -> pd.DataFrame:
    """Rows of weeks, of which a share of each week has no value of x."""
    empty = np.concatenate([np.arange(rows_of_window) < share * rows_of_window for share in shares])
    at = pd.date_range("2024-01-01", periods=len(empty), freq=pd.Timedelta("7D") / rows_of_window, tz="UTC")
    return pd.DataFrame(
        {"id": np.arange(len(empty)), "at": at, "x": np.where(empty, np.nan, 1.0 * np.arange(len(empty)) % 7)}
    )


def least_filled(shares: list[float]) -> object:
    return of(infer_suite(reports(shares), TIMED), "x").get("expect_column_values_to_not_be_null", {}).get("mostly")


def test_how_many_values_may_be_missing_follows_from_how_much_windows_differ() -> None:
    # on the mean a tenth is missing in each case
    assert least_filled([0.1] * 10) == pytest.approx(0.75)
    assert least_filled([0.02, 0.25, 0.03, 0.2, 0.02, 0.03, 0.22, 0.03, 0.18, 0.02]) == pytest.approx(0.47)


def test_a_column_that_is_ever_less_filled_may_be_empty() -> None:
    assert least_filled([0.02, 0.03, 0.03, 0.05, 0.08, 0.1, 0.12, 0.11, 0.16, 0.15]) is None
    assert least_filled([0.01, 0.01, 0.02, 0.02, 0.02, 0.03, 0.03, 0.03, 0.03, 0.03]) is not None  # next to nothing


def test_a_code_of_time_has_no_bounds_and_another_small_number_has() -> None:
    frame = reports([0.0] * 10)
    seasons = frame.assign(x=np.where(np.arange(1_000) < 850, 1.0, 2.0))
    rooms = frame.assign(x=1.0 + np.arange(1_000) % 4)
    assert "expect_column_values_to_be_between" not in of(infer_suite(seasons, TIMED), "x")
    assert "expect_column_values_to_be_between" in of(infer_suite(rooms, TIMED), "x")


def test_a_suite_yields_unless_a_person_wrote_edited_or_accepted_it(tmp_path: Path) -> None:
    workspace, suite = Workspace(str(tmp_path)), infer_suite(rows(), SPEC)
    assert not suite_yields(SPEC, workspace)  # there is none yet
    keep_suite(SPEC, suite, workspace)
    assert suite_of(SPEC, workspace) == suite
    assert suite_yields(SPEC, workspace)

    path = suite_path(SPEC, workspace)
    workspace.write(path, workspace.read(path).replace(b"mostly: 0.95", b"mostly: 0.9"))
    assert not suite_yields(SPEC, workspace)
    keep_suite(SPEC, suite, workspace, accepted=True)
    assert suite_of(SPEC, workspace) == suite
    assert not suite_yields(SPEC, workspace)
    workspace.write(path, write_suite(suite))  # as an earlier everfit kept it
    assert suite_yields(SPEC, workspace)
    written = SPEC.model_copy(update={"expectations": SPEC.expectations.model_copy(update={"suite": suite})})
    assert not suite_yields(written, workspace)
