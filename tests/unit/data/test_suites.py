"""Suites that yield: to rows of refused batches, and to columns that have changed for good."""

import numpy as np
import pandas as pd
from support.training import a_spec

from everfit.blocks.expectations import Expectation
from everfit.tasks.data.suite import infer_suite, loosest, without_bounds

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
