"""Columns that follow the event time are left out only where they tell the window from the hold-out by themselves."""

import numpy as np
import pandas as pd

from everfit.tasks.diagnosis.time_columns import time_columns


def rows(start: str, days: int, first: int) -> pd.DataFrame:
    at = pd.date_range(start, periods=days * 24, freq="h", tz="UTC")
    random = np.random.default_rng(first)
    return pd.DataFrame(
        {
            "at": at,
            "month": at.month,
            "hour": at.hour,
            "counter": first + np.arange(len(at)),
            "price": random.normal(size=len(at)),
            "shop": random.choice(["a", "b"], len(at)),
            "moved": random.normal(5.0 if first else 0.0, size=len(at)),
        }
    )


def test_a_month_and_a_counter_are_left_out_and_an_hour_stays() -> None:
    hold_out, window = rows("2024-01-08", 52, 0), rows("2024-04-01", 14, 5_000)
    names = [name for name in hold_out if name != "at"]
    assert time_columns(hold_out, window, "at", names) == ("month", "counter")


def test_columns_that_moved_by_themselves_stay_because_they_may_be_the_cause() -> None:
    hold_out, window = rows("2024-01-08", 52, 0), rows("2024-02-01", 14, 300)
    assert "moved" not in time_columns(hold_out, window, "at", ["moved", "shop", "absent"])
    assert time_columns(hold_out.drop(columns="at"), window, "at", ["month"]) == ()
