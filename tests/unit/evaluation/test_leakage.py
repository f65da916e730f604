"""Columns that give the target together, though none of them does alone."""

import numpy as np
import pandas as pd
import pytest

from everfit.tasks.evaluation import leakage
from everfit.tasks.evaluation.leakage import parts_of_the_target, suspected_leaks

RANDOM = np.random.default_rng(5)
HIRES = pd.DataFrame(
    {
        "hour": RANDOM.integers(0, 24, 500),
        "casual": RANDOM.poisson(20, 500),
        "temperature": RANDOM.normal(15, 5, 500),
        "registered": RANDOM.poisson(90, 500).astype(float),
        "weather": RANDOM.choice(["dry", "wet"], 500),
        "rare": np.where(RANDOM.uniform(size=500) < 0.5, np.nan, 1.0),
        "always": 1,
    }
)
BIKES = HIRES["casual"] + HIRES["registered"]


def test_the_parts_of_a_sum_are_named_and_nothing_else() -> None:
    assert parts_of_the_target(HIRES, BIKES, "regression") == ("casual", "registered")
    assert suspected_leaks(HIRES[["casual"]], BIKES, "regression") == ()


def test_columns_that_predict_well_are_no_parts() -> None:
    assert parts_of_the_target(HIRES, BIKES + RANDOM.normal(0, 0.2, 500), "regression") == ()
    assert parts_of_the_target(HIRES.drop(columns="casual"), BIKES, "regression") == ()
    assert parts_of_the_target(HIRES, (BIKES > 110).astype(float), "binary") == ()
    assert parts_of_the_target(HIRES[["weather", "rare", "always"]], BIKES, "regression") == ()
    assert parts_of_the_target(HIRES[:50], BIKES[:50], "regression") == ()


@pytest.mark.slow
def test_of_many_columns_those_that_tell_little_on_a_quarter_of_rows_are_not_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(3)
    target = pd.Series(random.uniform(size=10_000) < 0.05).astype(float)
    wide = pd.DataFrame(random.normal(size=(10_000, 55)), columns=[f"c{place}" for place in range(55)])
    wide["after"] = random.integers(0, 20, 10_000) * 2 + target  # odd only where the label is 1
    wide["strong"] = target + random.normal(0, 0.35, 10_000)
    wide["text"] = pd.array(np.where(target == 1, "y", "n"), dtype="str")
    looked: list[int] = []
    plain = leakage._guesses
    monkeypatch.setattr(leakage, "_guesses", lambda column, *rest: looked.append(len(column)) or plain(column, *rest))

    assert suspected_leaks(wide, target, "binary") == ("after", "text")
    assert looked.count(2_500) == 57
    assert looked.count(10_000) == 5  # both halves of two that leak, and one of a column that is good
    looked.clear()
    few = wide[["c0", "after", "strong", "text"]]
    assert suspected_leaks(few, target, "binary") == ("after", "text")
    assert looked.count(2_500) == 0
