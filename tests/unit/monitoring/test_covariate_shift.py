"""Quality without labels, where kinds of rows change their shares and the answers mean other things on each kind."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from everfit.blocks.errors import NotEnoughError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.signals.covariate_shift import covariate_shift
from everfit.tasks.monitoring.signals.live_estimate import QualityEstimator, fit_estimator
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.predictions.labels import INCLUSION, LABEL
from everfit.tasks.predictions.prediction_log import SCORE
from everfit.tasks.statistics.estimate_trust import track_record
from everfit.tasks.statistics.metrics import metric

UNTIL = datetime(2024, 3, 1, tzinfo=UTC)
SPEC = ModelSpec.model_validate(
    {
        "name": "shifted",
        "task": "binary",
        "source": {"path": "rows.csv"},
        "columns": {"key": ["id"], "event_time": "at", "target": "late"},
        "training": {"metric": "accuracy"},
    }
)


def answers(seed: int, new: float, rows: int = 4_000) -> LabelledPredictions:
    """Scores that say too much of the new customers, who have this share."""
    random = np.random.default_rng(seed)
    z, is_new = random.normal(size=rows), random.random(rows) < new
    late = random.random(rows) < 1 / (1 + np.exp(-np.where(is_new, 0.2, 2.5) * z))
    frame = pd.DataFrame(
        {
            "at": pd.date_range("2024-02-01", periods=rows, freq="5min", tz="UTC"),
            "_key": np.arange(rows),
            "customer": np.where(is_new, "new", "old"),
            "z": z,
            SCORE: 1 / (1 + np.exp(-2 * z)),
            LABEL: late.astype(int).astype(str),
            INCLUSION: np.nan,
        }
    )
    return LabelledPredictions(Window(until=UNTIL), frame, "at", "binary", ("0", "1"))


def estimator(seed: int = 0, new: float = 0.2) -> QualityEstimator:
    from dataclasses import replace

    found = fit_estimator(answers(seed, new), SPEC, ["customer", "z"])
    return replace(found, look_up=lambda some: some.rows[["customer", "z"]])


@pytest.mark.slow
def test_the_estimate_holds_where_new_customers_become_frequent() -> None:
    off, blind, inside = [], [], 0
    for seed in range(10):
        by, now = estimator(seed), answers(100 + seed, 0.8)
        truth = metric("accuracy").score(now.truth, now.scores)
        found = by(now, track_record(()))
        off.append(found.value - truth)
        blind.append(by.by.estimate(now.scores).value - truth)  # type: ignore[call-arg]
        inside += found.lower <= truth <= found.upper
        assert "effective rows of the hold-out" in found.summary
    assert np.mean(blind) > 0.12  # without weights, far too good
    assert abs(np.mean(off)) < 0.015
    assert inside >= 9


def test_without_a_shift_nothing_is_weighted() -> None:
    by, now = estimator(), answers(200, 0.2)
    found = by(now, track_record(()))
    assert found == by.by.estimate(now.scores, track_record(()))  # type: ignore[call-arg]


def test_rows_that_the_holdout_never_had_are_not_estimated() -> None:
    by, now = estimator(new=0.0), answers(300, 0.9)
    with pytest.raises(NotEnoughError, match="moved too far from the hold-out"):
        by(now, track_record(()))


@pytest.mark.slow
def test_equal_rows_are_seldom_told_apart() -> None:
    told = sum(
        covariate_shift(answers(seed, 0.2).rows, answers(500 + seed, 0.2).rows, ["customer", "z"]) is not None
        for seed in range(20)
    )
    assert told <= 2
