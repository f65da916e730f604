"""Where a shadow answers otherwise is found beyond chance, and nothing is found where it does so everywhere."""

import numpy as np
import pandas as pd
import pytest

from everfit.tasks.evaluation.answer_divergence import divergence_by_slice, latency_of
from everfit.tasks.predictions.prediction_log import PREDICTION

ROWS = 2_000


def rows(seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "carrier": random.choice(["AA", "UA", "DL", "WN"], ROWS),
            "distance": random.lognormal(6, 1, ROWS),
            PREDICTION: random.normal(10, 2, ROWS),
        }
    )


@pytest.mark.slow
def test_equal_distances_everywhere_are_no_slice() -> None:
    wrong = 0
    for seed in range(100):
        old = rows(seed)
        new = old.assign(**{PREDICTION: old[PREDICTION] + np.random.default_rng(seed + 500).normal(0, 1, ROWS)})
        wrong += any(one.certain for one in divergence_by_slice(new, old, ["carrier", "distance"], "regression"))
    assert wrong <= 10  # of 5 in 100


def test_a_slice_of_a_number_is_found_with_its_size() -> None:
    old = rows(0)
    far = old["distance"] > old["distance"].quantile(0.75)
    new = old.assign(**{PREDICTION: old[PREDICTION] + np.where(far, 4.0, 0.2)})

    first, *others = divergence_by_slice(new, old, ["carrier", "distance", "gone"], "regression")
    assert first.name.startswith("distance = ")
    assert first.name.endswith(" or more")
    assert first.certain
    assert first.divergence == pytest.approx(4.0 / old[PREDICTION].std(ddof=0))
    assert not any(one.certain for one in others)


def test_batch_scoring_has_no_latency() -> None:
    some, none = pd.Series([1.0, 3.0]), pd.Series([], dtype="float64")
    assert latency_of(none, some) is None
    found = latency_of(some, some * 2)
    assert found is not None
    assert (found.challenger_p50, found.champion_p50, found.requests) == (2.0, 4.0, 2)
