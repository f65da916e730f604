"""What is called a season: a column that moved away from training, and is where it was a year before."""

import numpy as np
import pandas as pd
import pytest

from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.monitoring.row_sample import RowSample
from everfit.tasks.monitoring.signals.drift import drift
from everfit.tasks.monitoring.signals.seasonal_drift import seasonal_columns
from everfit.tasks.statistics.histograms import histograms
from everfit.tasks.statistics.profile import profile_frame
from everfit.tasks.storage.tables import KEY

POLICY = MonitoringPolicy()


def table(mean: float, regions: str = "abc", rows: int = 2_000, seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame({"x": random.normal(mean, size=rows), "region": random.choice(list(regions), rows)})


def seasonal(now: pd.DataFrame, then: pd.DataFrame) -> tuple[str, ...]:
    reference = profile_frame(table(0, seed=1), ["x", "region"])
    counts = [histograms(frame, reference) for frame in (now, then)]
    found = [column for column in drift(reference, counts[0], POLICY).columns if column.drifted]
    return seasonal_columns(found, *counts, POLICY)


def test_what_is_as_a_year_before_is_the_season() -> None:
    assert seasonal(table(1.5, seed=2), table(1.5, seed=3)) == ("x",)


@pytest.mark.parametrize("then", [table(0, seed=3), table(1.0, seed=3), table(-1.5, seed=3)])
def test_what_was_elsewhere_a_year_before_is_not(then: pd.DataFrame) -> None:
    assert seasonal(table(1.5, seed=2), then) == ()


def test_few_rows_of_the_year_before_say_nothing() -> None:
    few = table(1.5, rows=POLICY.min_rows - 1, seed=3)
    assert seasonal(table(1.5, seed=2), few) == ()


def test_a_new_category_is_new_though_there_was_another_one_a_year_before() -> None:
    assert seasonal(table(0, "abx", seed=2), table(0, "abx", seed=3)) == ("region",)
    assert seasonal(table(0, "aby", seed=2), table(0, "abx", seed=3)) == ()


def test_a_column_that_the_rows_of_then_lack_is_not_compared() -> None:
    assert seasonal(table(1.5, seed=2), table(1.5, seed=3).drop(columns="x")) == ()


def test_a_sample_is_the_same_in_whatever_order_the_rows_come() -> None:
    frame = pd.DataFrame({KEY: [f"{number:04}" for number in range(1_000)], "x": range(1_000)})

    def drawn(order: list[int], chunk: int) -> list[int]:
        sample = RowSample(20)
        for start in range(0, len(order), chunk):
            sample.add(frame.iloc[order[start : start + chunk]])
        return sorted(sample.frame["x"])

    backwards = list(range(999, -1, -1))
    assert drawn(list(range(1_000)), 1_000) == drawn(backwards, 7)
    assert len(drawn(backwards, 7)) == 20
    assert RowSample(20).frame.empty
