"""A batch is compared with the rhythm of the rows before it: reported, refused or ignored, as the spec says."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.turns import Loop

from everfit.tasks.data.rhythm import stale_row

FIRST = datetime(2024, 5, 20, tzinfo=UTC)
"""A Monday."""


def sales(weeks: int, first: datetime = FIRST, seed: int = 0) -> pd.DataFrame:
    """Sales of some weeks: 20 an hour by day, 2 at night, few on Sundays."""
    random = np.random.default_rng(seed)
    hours = pd.date_range(first, first + timedelta(weeks=weeks), freq="h", inclusive="left")
    mean = np.where((hours.hour >= 7) & (hours.hour < 19), 20.0, 2.0) * np.where(hours.dayofweek == 6, 0.1, 1)
    at = np.repeat(hours, random.poisson(mean))
    return pd.DataFrame(
        {
            "id": [f"{first:%Y%m%d}-{number}" for number in range(len(at))],
            "at": at,
            "price": random.normal(10, 2, len(at)),
            "y": random.normal(0, 1, len(at)),
        }
    )


def without(frame: pd.DataFrame, since: datetime, hours: int) -> pd.DataFrame:
    return frame[~frame["at"].between(since, since + timedelta(hours=hours), inclusive="left")]


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["warn", "refuse"])
def test_half_a_monday_is_reported_or_refused(tmp_path: Path, policy: str) -> None:
    loop = Loop(tmp_path, expectations={"rhythm": policy})
    loop.write("first.parquet", sales(8))
    _, validation = loop.turn(FIRST + timedelta(weeks=8))
    assert validation.passed
    assert validation.warnings == ()
    monday = FIRST + timedelta(weeks=8)
    loop.write("second.parquet", without(sales(1, monday, seed=1), monday + timedelta(hours=12), 12))
    _, validation = loop.turn(monday + timedelta(weeks=1))
    reasons = validation.warnings if policy == "warn" else validation.reasons
    assert validation.passed == (policy == "warn")
    assert "0 rows on Monday 2024-07-15 12:00-" in reasons[0]
    assert "were expected from 8 Mondays" in reasons[0]


@pytest.mark.slow
def test_a_first_batch_is_judged_by_its_own_beginning(tmp_path: Path) -> None:
    loop = Loop(tmp_path)
    wednesday = FIRST + timedelta(weeks=7, days=2)
    loop.write("first.parquet", without(sales(8), wednesday + timedelta(hours=7), 8))
    _, validation = loop.turn(FIRST + timedelta(weeks=8))
    assert validation.passed
    assert "on Wednesday 2024-07-10" in validation.warnings[0]


def test_a_short_history_is_said_and_may_be_ignored(tmp_path: Path) -> None:
    loop = Loop(tmp_path)
    loop.write("first.parquet", sales(2))
    loop.turn(FIRST + timedelta(weeks=2))
    loop.write("second.parquet", sales(1, FIRST + timedelta(weeks=2)))
    _, validation = loop.turn(FIRST + timedelta(weeks=3))
    assert [outcome.observed for outcome in validation.outcomes if "hour and weekday" in outcome.expectation] == [
        "not judged: fewer than 3 whole weeks came before"
    ]
    ages = json.loads(loop.workspace.read(loop.workspace.file("sales", "ages.json")))
    assert len(ages) == 2, "how old the newest row was, for later turns"


@pytest.mark.slow
def test_rows_that_come_with_their_label_are_judged_once_known(tmp_path: Path) -> None:
    loop = Loop(tmp_path, maturity="3d")
    loop.write("first.parquet", sales(8))
    loop.turn(FIRST + timedelta(weeks=8))
    monday = FIRST + timedelta(weeks=8)
    newest = monday + timedelta(days=4)
    week = sales(1, monday, seed=1)
    loop.write("second.parquet", pd.concat([week[week["at"] < newest], week[week["at"] >= newest][::9]]))
    _, validation = loop.turn(monday + timedelta(weeks=1))
    assert validation.warnings == ()


def test_a_source_that_falls_behind_is_reported() -> None:
    until, hour = FIRST + timedelta(weeks=8), 3_600.0
    ages = [5 * hour, 6 * hour, 4 * hour, 30 * hour, 6 * hour]
    assert stale_row(until - timedelta(hours=8), until, ages) == ""
    assert stale_row(until - timedelta(hours=26), until, ages) == (
        "the newest row is of 2024-07-13 22:00, 26h before the turn's moment; up to 6h was usual in 5 earlier turns"
    )
