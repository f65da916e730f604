"""The input example of a model is no row that it was trained on."""

import numpy as np
import pandas as pd
import pytest

from everfit.tasks.models.input_schema import InputSchema, typical_values

FEATURES = ["price", "age", "shop", "name", "member", "since", "count"]


@pytest.fixture
def rows() -> pd.DataFrame:
    count = 50
    return pd.DataFrame(
        {
            "price": np.linspace(10.123, 90.456, count),
            "age": np.arange(count, dtype=np.float64) + 20,
            "shop": ["north"] * 30 + ["east"] * 20,
            "name": [f"person {number}" for number in range(count)],
            "member": [True, False] * 25,
            "since": pd.date_range("2020-05-05", periods=count, tz="UTC"),
            "count": range(count),
        }
    )


def test_it_passes_the_check_and_equals_no_row(rows: pd.DataFrame) -> None:
    inputs = InputSchema.of_frame(
        rows, task="binary", features=FEATURES, max_categories=10, meanings={"age": "whole", "price": "decimal"}
    )

    made_up = inputs.made_up_rows(typical_values(rows, FEATURES))

    assert made_up.iloc[0].to_dict() == {
        "price": 50.0, "age": 44.0, "shop": "north", "name": "text", "member": True,
        "since": pd.Timestamp("2024-01-01", tz="UTC"), "count": 24,
    }  # fmt: skip
    assert made_up["price"].dtype == rows["price"].dtype
    assert not (rows[FEATURES].astype(str) == made_up.iloc[0].astype(str)).all(axis=1).any()


def test_columns_without_values_have_placeholders(rows: pd.DataFrame) -> None:
    inputs = InputSchema.of_frame(rows.assign(price=np.nan), task="binary", features=FEATURES)

    assert inputs.example(typical_values(rows.assign(price=np.nan), FEATURES))["price"] == 0.5
    assert inputs.example({"shop": "unknown"})["shop"] == "east"
