"""A column then and now, as a few bars for people: all rows are in them, and rare values are not named."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from everfit.tasks.statistics.distributions import ColumnDistribution, distributions
from everfit.tasks.statistics.histograms import histograms
from everfit.tasks.statistics.profile import profile_frame

RANDOM = np.random.default_rng(0)


def one(then: Any, now: Any) -> ColumnDistribution:
    before, after = pd.DataFrame({"x": then}), pd.DataFrame({"x": now})
    reference = profile_frame(before, ["x"])
    [found] = distributions(reference, histograms(after, reference))
    return found


def bars(found: ColumnDistribution) -> dict[str, tuple[float, float]]:
    return {bar.label: (bar.then, bar.now) for bar in found.bars}


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (RANDOM.normal(size=5_000), RANDOM.normal(1, size=900)),
        (RANDOM.lognormal(8, 3, size=5_000), RANDOM.lognormal(9, 3, size=900)),
        (RANDOM.integers(0, 30, size=5_000), RANDOM.integers(10, 60, size=900)),
        (RANDOM.choice([0.0, 0.0, 0.0, 2.5, np.nan], size=5_000), RANDOM.choice([0.0, np.nan], size=900)),
        (RANDOM.choice(list("abcdefghijklmnopqrst"), size=5_000), RANDOM.choice(["a", "z", None], size=900)),
        (np.arange(5_000).astype(str), np.arange(900).astype(str)),
        (
            RANDOM.uniform(1_700_000_000, 1_700_000_100, size=5_000),
            RANDOM.uniform(1_700_000_000, 1_700_000_050, size=90),
        ),
        (RANDOM.choice(np.arange(1_000, 1_000.5, 0.001), size=5_000), RANDOM.uniform(1_000, 1_001, size=90)),
        ([np.nan] * 100, [1.0] * 50),
        ([1.0] * 5, [1.0] * 3),
    ],
)
def test_the_bars_have_all_rows_and_are_few(then: Any, now: Any) -> None:
    found = one(then, now)

    assert 1 <= len(found.bars) <= 13
    assert sum(bar.then for bar in found.bars) == pytest.approx(1, abs=0.01)
    assert sum(bar.now for bar in found.bars) == pytest.approx(1, abs=0.01)
    assert len(bars(found)) == len(found.bars)  # no two have one name


def test_a_number_is_cut_by_its_values_and_a_single_value_has_its_own_bar() -> None:
    then = [0] * 600 + [1] * 300 + [2] * 100
    found = one(then, [0] * 200 + [1] * 150 + [2] * 150)

    assert bars(found) == {"0": (0.6, 0.4), "1": (0.3, 0.3), "2": (0.1, 0.3)}
    assert found.most_changed is not None
    assert found.most_changed.label in {"0", "2"}


def test_values_beyond_the_training_data_are_in_the_outer_bars() -> None:
    found = one(np.linspace(10, 20, 1_000), np.linspace(30, 40, 500))

    assert found.bars[-1].now == 1
    assert found.bars[-1].label.endswith("or more")


def test_a_new_category_is_named_and_rare_ones_are_not() -> None:
    then = ["UA"] * 500 + ["B6"] * 480 + ["Ada Lovelace"] * 5 + ["Alan Turing"] * 15
    found = one(then, ["UA"] * 100 + ["XX"] * 80 + ["Grace Hopper"] * 20)

    assert bars(found) == {
        "UA": (0.5, 0.5),
        "B6": (0.48, 0.0),
        "XX": (0.0, 0.4),
        "Grace Hopper": (0.0, 0.1),
        "all others": (0.02, 0.0),
    }


def test_a_rare_value_of_a_number_is_not_shown_by_itself() -> None:
    found = one([1] * 500 + [2] * 480 + [97] * 3, [1] * 100 + [2] * 100)

    assert [bar.label for bar in found.bars] == ["1", "2 to 97"]


def test_missing_values_are_a_bar() -> None:
    assert bars(one([1.0, 2.0] * 100, [1.0, None] * 50))["missing"] == (0, 0.5)
