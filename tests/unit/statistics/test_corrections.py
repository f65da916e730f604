"""Corrections find what has moved, and leave alone what they can't tell."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from everfit.tasks.statistics.corrections import Correction, corrections_for, fit_correction
from everfit.tasks.statistics.metrics import metric

LOG_LOSS = metric("log_loss", "binary")
HALVES = np.array([0.5, 0.5])


def answers(rows: int = 6000, slope: float = 1.0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and a model's probabilities; the truth's log odds are a slope and a shift away from the model's."""
    random = np.random.default_rng(0)
    scores = expit(1.5 * random.normal(size=rows))
    return (random.random(rows) < expit(slope * logit(scores) + shift)).astype(float), scores


def test_a_shift_and_a_slope_are_found() -> None:
    truth, scores = answers(slope=0.5, shift=0.8)
    found = fit_correction("recalibration", truth, scores, LOG_LOSS, HALVES)
    assert found is not None
    assert (found.slope, found.shifts[0]) == (pytest.approx(0.5, abs=0.06), pytest.approx(0.8, abs=0.08))

    truth, scores = answers(shift=-1.2)
    shifted = fit_correction("intercept", truth, scores, LOG_LOSS, HALVES)
    assert shifted is not None
    assert (shifted.slope, shifted.shifts[0]) == (1.0, pytest.approx(-1.2, abs=0.1))


def test_it_is_the_most_likely_one() -> None:
    truth, scores = answers(slope=0.5, shift=0.8)
    reference = LogisticRegression(C=np.inf).fit(logit(scores)[:, None], truth)
    found = fit_correction("recalibration", truth, scores, LOG_LOSS, HALVES)
    assert found is not None
    assert [found.slope, *found.shifts] == pytest.approx([reference.coef_[0, 0], reference.intercept_[0]], abs=2e-3)


def test_a_shift_of_the_shares_is_told_from_a_shift_of_the_meaning() -> None:
    random = np.random.default_rng(1)
    truth, scores = answers()
    kept = (truth == 0) | (random.random(truth.size) < 0.25)
    then = np.array([1 - truth.mean(), truth.mean()])
    rarer = fit_correction("prior_shift", truth[kept], scores[kept], LOG_LOSS, then)
    assert rarer is not None
    assert rarer.shifts[0] == pytest.approx(np.log(0.25), abs=0.15)

    meant, scores = answers(shift=-1.2)
    assert fit_correction("prior_shift", meant, scores, LOG_LOSS, HALVES) is None  # the labels contradict the shares


def test_several_classes_are_shifted_apart() -> None:
    random = np.random.default_rng(2)
    scores = random.dirichlet([1, 1, 1], 5000)
    moved = Correction(link="log", shifts=(1.0, -0.5, -0.5)).apply(scores)
    truth = np.array([random.choice(3, p=row) for row in moved], dtype=float)
    found = fit_correction("intercept", truth, scores, metric("log_loss", "multiclass"), np.full(3, 1 / 3))
    assert found is not None
    assert found.shifts == pytest.approx((1.0, -0.5, -0.5), abs=0.12)
    assert found.apply(scores).sum(axis=1) == pytest.approx(1.0)


def test_a_threshold_is_moved_to_where_the_metric_is_best() -> None:
    truth, scores = answers(shift=-2.0)
    f1 = metric("f1", "binary")
    found = fit_correction("threshold", truth, scores, f1, HALVES)
    assert found is not None
    assert f1.score(truth, found.apply(scores)) > f1.score(truth, scores) + 0.03


def test_answers_of_a_regression_are_shifted_by_what_the_metric_takes_for_their_middle() -> None:
    random = np.random.default_rng(3)
    numbers = random.normal(size=3000)
    truth = 0.5 * numbers + 2 + random.exponential(size=3000)
    by_mean = fit_correction("recalibration", truth, numbers, metric("rmse"), None)
    by_median = fit_correction("recalibration", truth, numbers, metric("mae"), None)
    assert by_mean is not None
    assert by_median is not None
    assert (by_mean.slope, by_mean.shifts[0]) == (pytest.approx(0.5, abs=0.05), pytest.approx(3.0, abs=0.08))
    assert by_median.shifts[0] == pytest.approx(2 + np.log(2), abs=0.08)


def test_nothing_is_corrected_by_too_little() -> None:
    truth, scores = answers(rows=40)
    assert fit_correction("intercept", truth, scores, LOG_LOSS, HALVES) is None
    truth, scores = answers(shift=-9.0)
    assert truth.sum() < 10
    assert fit_correction("intercept", truth, scores, LOG_LOSS, HALVES) is None


def test_only_what_can_change_a_metric_is_tried() -> None:
    assert corrections_for(metric("roc_auc", "binary"), 2) == ()
    assert corrections_for(LOG_LOSS, 2) == ("prior_shift", "intercept", "recalibration")
    assert corrections_for(metric("f1", "binary"), 2)[0] == "threshold"
    assert corrections_for(metric("rmse"), 0) == ("intercept", "recalibration")


def test_two_corrections_in_a_row_are_one() -> None:
    scores = np.array([0.1, 0.5, 0.9])
    first, second = Correction(link="logit", slope=2.0, shifts=(0.3,)), Correction(link="logit", slope=0.5, shifts=(1,))
    assert second.after(first).apply(scores) == pytest.approx(second.apply(first.apply(scores)), abs=1e-5)
