"""Columns that follow from the event time are distinguished from columns that only look like it."""

import numpy as np
import pandas as pd

from everfit.tasks.statistics.calendar_columns import calendar_columns


def rows(count: int = 2_000) -> pd.DataFrame:
    random = np.random.default_rng(0)
    at = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.sort(random.uniform(0, 60, count)), unit="D")
    local = at.tz_convert("America/New_York")
    return pd.DataFrame(
        {
            "at": at,
            "hour": local.hour,
            "weekday": at.dayofweek + 1,
            "month": at.month.astype("float64"),
            "name": at.day_name().str.upper(),
            "local_day": local.dayofweek,
            "weekend": at.dayofweek >= 5,
            "temp": random.normal(size=count),
            "floor": random.integers(0, 24, count),
            "shop": random.choice(["Monday", "Tuesday"], count),
            "always": 1,
        }
    )


def test_parts_of_the_time_are_found_and_no_other_column_is() -> None:
    frame = rows()
    names = [name for name in frame.columns if name != "at"]
    assert calendar_columns(frame, "at", [*names, "gone"]) == (
        "hour",
        "weekday",
        "month",
        "name",
        "local_day",
        "weekend",
    )


def test_missing_values_and_few_rows() -> None:
    frame = rows()
    frame.loc[::3, "weekday"] = None
    assert calendar_columns(frame, "at", ["weekday"]) == ("weekday",)
    assert calendar_columns(frame.head(20), "at", ["weekday"]) == ()


def test_a_column_that_is_nearly_always_the_same_does_not_follow_from_the_time() -> None:
    frame = rows()
    frame = frame[frame["at"].dt.dayofweek < 5]
    frame = frame.assign(rare=(np.arange(len(frame)) % 40 == 0).astype(float))
    assert calendar_columns(frame, "at", ["rare"]) == ()
