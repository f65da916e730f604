"""Columns that give the target together, though none of them does alone."""

import numpy as np
import pandas as pd

from everfit.tasks.evaluation.leakage import parts_of_the_target, suspected_leaks

RANDOM = np.random.default_rng(0)
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
