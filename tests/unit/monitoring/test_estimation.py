"""Quality estimated without labels sees a change of the inputs, can't see one of the concept, and knows its record."""

from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from everfit.blocks.errors import DataError
from everfit.tasks.monitoring.signals.confidence_estimate import ConfidenceEstimator
from everfit.tasks.monitoring.signals.loss_estimate import LossEstimator
from everfit.tasks.statistics.estimate_trust import PastEstimate, track_record
from everfit.tasks.statistics.metrics import metric

Floats = npt.NDArray[np.float64]
START = datetime(2013, 1, 1, tzinfo=UTC)


def binary(n: int, seed: int, shift: float = 0.0, flip: bool = False) -> tuple[Floats, Floats]:
    """Rows and over-confident scores of a model that knows the concept before the flip."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n) * (1.5 - shift)
    y = (rng.random(n) < 1 / (1 + np.exp(z if flip else -z))).astype(np.float64)
    return y, 1 / (1 + np.exp(-2 * z))


def classes(n: int, seed: int, noise: float = 0.0) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 3)) * (1.5 - noise)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y = (rng.random((n, 1)) > chances.cumsum(axis=1)).sum(axis=1).astype(np.float64)
    return y, chances


@pytest.mark.slow
@pytest.mark.parametrize("name", ["roc_auc", "average_precision", "accuracy", "log_loss", "brier", "f1", "recall"])
@pytest.mark.parametrize("shift", [0.0, 0.8])
def test_a_change_of_the_inputs_is_seen_in_the_estimate(name: str, shift: float) -> None:
    estimator = ConfidenceEstimator.fit(*binary(6_000, 0), name)
    y, scores = binary(6_000, 1, shift)
    result = estimator.estimate(scores, confidence=0.99)
    truth = metric(name).score(y, scores)
    assert result.lower - 0.01 <= truth <= result.upper + 0.01, result.summary
    if shift and name in {"roc_auc", "accuracy"}:
        assert metric(name).gain(result.value, metric(name).score(*binary(6_000, 0))) < -0.05


@pytest.mark.parametrize("name", ["log_loss", "accuracy", "f1_macro", "roc_auc_ovr"])
def test_many_classes(name: str) -> None:
    estimator = ConfidenceEstimator.fit(*classes(6_000, 0), name)
    y, scores = classes(6_000, 1, noise=0.7)
    result = estimator.estimate(scores, confidence=0.99)
    assert result.lower - 0.015 <= metric(name).score(y, scores) <= result.upper + 0.015, result.summary


def test_a_change_of_the_concept_is_not_seen_and_costs_the_estimator_its_trust() -> None:
    estimator = ConfidenceEstimator.fit(*binary(6_000, 0), "roc_auc")
    past = []
    for week in range(6):
        y, scores = binary(2_000, 10 + week, flip=True)
        result = estimator.estimate(scores)
        truth = metric("roc_auc").score(y, scores)
        assert result.value > 0.7
        assert truth < 0.3
        error = result.standard_error
        moment = START + week * timedelta(days=7)
        past.append(PastEstimate(until=moment, estimated=result.value, realised=truth, standard_error=error))
    record = track_record(past)
    assert record.trust == pytest.approx(1 / 8)
    assert "estimates of the last 6 windows were off by" in record.summary
    assert "not trusted alone" in record.summary
    distrusted = estimator.estimate(scores, record)
    assert distrusted.lower < truth
    assert distrusted.trust == record.trust


def test_trust_begins_at_one_half_and_is_earned() -> None:
    def estimate(week: int, error: float) -> PastEstimate:
        moment = START + week * timedelta(days=7)
        return PastEstimate(until=moment, estimated=0.7 + error, realised=0.7, standard_error=0.01)

    assert track_record(()).trust == 0.5
    good = track_record([estimate(week, 0.005) for week in range(6)])
    assert good.trust == pytest.approx(7 / 8)
    assert good.extra_error == 0
    assert "not trusted" not in good.summary
    assert track_record([estimate(0, 0.1)]).trust == pytest.approx(1 / 3)
    # What happened long ago is forgotten.
    assert (
        track_record([*(estimate(week, 0.1) for week in range(12)), *(estimate(20 + w, 0) for w in range(12))]).trust
        > 0.9
    )


def cars(n: int, seed: int, old: float = 0.3) -> tuple[pd.DataFrame, Floats, Floats]:
    """Prices that are harder to tell for old cars."""
    rng = np.random.default_rng(seed)
    aged = rng.random(n) < old
    size = rng.normal(size=n)
    noise = rng.normal(size=n) * np.where(aged, 3.0, 1.0)
    frame = pd.DataFrame({"size": size, "age": np.where(aged, "old", "new"), "sold": pd.Timestamp("2013-01-01")})
    return frame, 30 + 2 * size + noise, 30 + 2 * size


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mae", "mse", "rmse", "mape"])
def test_the_loss_of_a_regression_is_estimated_from_where_it_is_large(name: str) -> None:
    estimator = LossEstimator.fit(*cars(2_500, 0), name)
    frame, y, predictions = cars(2_500, 1, old=0.9)
    result = estimator.estimate(frame, predictions, confidence=0.99)
    truth = metric(name).score(y, predictions)
    before = metric(name).score(*cars(2_500, 0)[1:])
    assert result.value == pytest.approx(truth, rel=0.15), result.summary
    assert result.value > before * 1.2


@pytest.mark.slow
def test_estimates_do_not_depend_on_when_they_are_made() -> None:
    frame, y, predictions = cars(600, 0)
    first = LossEstimator.fit(frame, y, predictions, "rmse").estimate(frame, predictions)
    assert LossEstimator.fit(frame, y, predictions, "rmse").estimate(frame, predictions) == first
    part = frame.iloc[::-1].reset_index(drop=True)
    assert LossEstimator.fit(frame, y, predictions, "rmse").estimate(part, predictions[::-1]).value == pytest.approx(
        first.value
    )


def test_what_can_not_be_estimated_is_refused() -> None:
    frame, y, predictions = cars(600, 0)
    with pytest.raises(DataError, match="allowed: mae"):
        LossEstimator.fit(frame, y, predictions, "r2")
    with pytest.raises(DataError, match="use LossEstimator"):
        ConfidenceEstimator.fit(y, predictions, "rmse")
    with pytest.raises(DataError, match="too few"):
        ConfidenceEstimator.fit(*binary(100, 0), "roc_auc")
    fitted = LossEstimator.fit(frame, y, predictions, "mae")
    with pytest.raises(DataError, match="'age' is missing"):
        fitted.estimate(frame.drop(columns="age"), predictions)
    with pytest.raises(DataError, match="no rows"):
        fitted.estimate(frame.iloc[:0], predictions[:0])
    with pytest.raises(DataError, match="no rows"):
        ConfidenceEstimator.fit(*binary(600, 0), "roc_auc").estimate(np.empty(0))
