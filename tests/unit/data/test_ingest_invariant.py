"""Whatever comes, in whatever batches: rows in are rows accepted, quarantined and known already."""

import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.turns import Loop

EXAMPLES = int(os.environ.get("EVERFIT_EXAMPLES", "4"))
START = datetime(2024, 1, 1, tzinfo=UTC)

# Few keys, days and values, so that rows repeat, change and contradict each other; and what is missing or no number.
ROW = st.fixed_dictionaries(
    {
        "id": st.one_of(st.none(), st.integers(0, 6)),
        "at": st.one_of(st.none(), st.integers(0, 3)),
        "price": st.one_of(st.none(), st.sampled_from(["1.5", "2", "1,000.5", "cheap", "-", ""])),
        "y": st.one_of(st.none(), st.integers(0, 2)),
    }
)
BATCHES = st.lists(st.lists(ROW, min_size=1, max_size=12), min_size=1, max_size=3)


@pytest.mark.slow
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(batches=BATCHES, key=st.booleans(), bad_share=st.sampled_from([0.0, 0.3, 1.0]))
def test_no_row_is_lost_or_taken_twice(batches: list[list[dict[str, Any]]], key: bool, bad_share: float):
    suite = [{"type": "expect_column_values_to_be_between", "kwargs": {"column": "price", "max_value": 100}}]
    columns = {"event_time": "at", "target": "y"} | ({"key": ["id"]} if key else {})
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(Path(folder), expectations={"suite": suite, "max_bad_share": bad_share}, columns=columns)
        # Types that the columns have for good.
        loop.write("0.csv", frame([{"id": 99, "at": 0, "price": "1.5", "y": 1}]))
        loop.turn(START + timedelta(days=9))
        for number, rows in enumerate(batches, start=1):
            loop.write(f"{number}.csv", frame(rows))
            loop.turn(START + timedelta(days=9 + number))  # holds the books to account
        again, _ = loop.turn(START + timedelta(days=30))

        assert again.new == again.changed == 0 or bad_share < 1.0  # a refused batch is looked at again
        if loop.count("dataset") and key:
            keyed = loop.workspace.table("sales", "dataset").read().dropna(subset=["id"])
            assert keyed["id"].is_unique


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    made = pd.DataFrame(rows)
    made["id"] = made["id"].astype("Int64")
    days = [row["at"] for row in rows]
    made["at"] = [None if day is None else (START + timedelta(days=day)).isoformat() for day in days]
    return made
