"""Quality on mature labels: hand labels are weighted, and the rest is compared."""

import numpy as np
import numpy.typing as npt
import pytest

from everfit.blocks.errors import DataError
from everfit.tasks.monitoring.signals.live_value import business_value
from everfit.tasks.monitoring.signals.maturity import coverage
from everfit.tasks.monitoring.signals.quality import by_slice, chance, realised, time_spread
from everfit.tasks.statistics.metrics import metric

Floats = npt.NDArray[np.float64]


def rows(n: int, seed: int = 0, lift: float = 1.5) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.3).astype(np.float64)
    return y, 1 / (1 + np.exp(-(rng.normal(size=n) + lift * y - 1)))


@pytest.mark.parametrize("name", ["roc_auc", "log_loss", "accuracy"])
def test_the_interval_and_error_belong_to_the_value(name: str) -> None:
    y, scores = rows(2_000)
    result = realised(y, scores, name, draws=300)
    assert result.value == pytest.approx(metric(name).score(y, scores))
    assert result.lower < result.value < result.upper
    values = [metric(name).score(*rows(2_000, seed)) for seed in range(100, 200)]
    assert result.standard_error == pytest.approx(np.std(values), rel=0.3)
    assert result.baseline().value == result.value


@pytest.mark.parametrize(
    ("name", "expected"),
    [("roc_auc", 0.5), ("accuracy", 0.75), ("log_loss", 0.5623351446188083), ("average_precision", 0.25)],
)
def test_chance_is_the_best_constant_answer(name: str, expected: float) -> None:
    y = np.array([1.0, 0, 0, 0] * 10)
    assert chance(y, np.full(40, 0.4), name) == pytest.approx(expected)


def test_chance_of_a_regression_and_of_many_classes() -> None:
    y = np.array([0.0, 0, 0, 8])
    assert chance(y, y, "rmse") == pytest.approx(np.sqrt(12))
    assert chance(y, y, "mae") == pytest.approx(2)
    assert chance(y, y, "r2") == pytest.approx(0)
    classes = np.array([0.0, 0, 1, 2])
    expected = -np.mean(np.log([0.5, 0.5, 0.25, 0.25]))
    assert chance(classes, np.full((4, 3), 1 / 3), "log_loss") == pytest.approx(expected)


def test_hand_labels_are_weighted_by_how_likely_they_were_chosen() -> None:
    # Given rows of which the uncertain ones were ten times as likely to be labelled,
    y, scores = rows(60_000, lift=2.0)
    inclusion = np.where(np.abs(scores - 0.5) < 0.25, 0.5, 0.05)
    chosen = np.random.default_rng(1).random(60_000) < inclusion
    truth = metric("accuracy").score(y, scores)
    plain = realised(y[chosen], scores[chosen], "accuracy", draws=200)
    weighted = realised(y[chosen], scores[chosen], "accuracy", draws=200, inclusion=inclusion[chosen])
    assert plain.upper < truth
    assert weighted.lower < truth < weighted.upper
    with pytest.raises(DataError, match="no probability of being labelled"):
        realised(y, scores, "accuracy", inclusion=np.zeros(60_000))


def test_labelled_rows_that_differ_from_the_others_are_called_biased() -> None:
    _, scores = rows(4_000)
    rng = np.random.default_rng(2)
    assert coverage(scores, scores > np.median(scores)).biased
    fair = coverage(scores, rng.random(4_000) < 0.5)
    assert not fair.biased
    assert fair.share == pytest.approx(0.5, abs=0.03)
    assert not coverage(scores, scores < np.quantile(scores, 0.97)).biased  # the few that lack one can't matter much
    assert coverage(scores, np.zeros(4_000, dtype=bool)).share == 0
    assert coverage(scores[:0], np.zeros(0, dtype=bool)).share is None
    many = np.column_stack([scores, 1 - scores])
    assert coverage(many, scores > np.median(scores)).biased


def test_labels_that_were_asked_for_by_known_probabilities_are_not_called_biased() -> None:
    _, scores = rows(4_000)
    rng = np.random.default_rng(3)
    uncertain = 1 - np.abs(2 * scores - 1)
    chance = np.clip(0.02 + 0.5 * uncertain**2 / uncertain.mean(), 0, 1)
    requested = rng.random(4_000) < chance
    assert coverage(scores, requested).biased
    assert not coverage(scores, requested, inclusion=chance[requested]).biased
    # Of those who were asked only the sure ones have answered: then the probabilities don't hold.
    answered = requested & (scores > np.median(scores))
    assert coverage(scores, answered, inclusion=chance[answered]).biased


def test_a_slice_that_lost_is_found_and_the_others_are_not() -> None:
    y, scores = rows(12_000, lift=2.0)
    groups = np.arange(12_000) % 12
    slices = {f"g{n}": groups == n for n in range(12)}
    baselines = {name: realised(y[rows], scores[rows], "roc_auc").baseline() for name, rows in slices.items()}
    later, new = rows(12_000, seed=5, lift=2.0)
    new[groups == 3] = np.random.default_rng(3).random(1_000)
    result = by_slice(later, new, "roc_auc", slices, baselines, bound=0.03)
    assert [item.name for item in result if item.lost] == ["g3"]
    assert by_slice(later, new, "roc_auc", {"tiny": groups > 20}, {"tiny": baselines["g0"]}, bound=0.03) == ()


def test_days_that_are_bad_throughout_are_few_cases_and_not_many_rows() -> None:
    # Given two slices that do as ever but on some days, when all goes wrong, in both, and before as well,
    rng, days = np.random.default_rng(8), np.repeat(np.arange(30), 100)

    def outcome(bad: int) -> tuple[Floats, Floats]:
        worse = np.isin(days, rng.choice(30, bad, replace=False))
        value = rng.normal(size=3_000)
        return value, value + rng.normal(size=3_000) * np.where(worse, 4.0, 1.0)

    slices = {"even": np.arange(3_000) % 2 == 0, "odd": np.arange(3_000) % 2 == 1}
    before, now = outcome(3), outcome(6)

    def lost(by: npt.NDArray[np.int64] | None) -> list[bool]:
        baselines = {
            name: realised(*(side[rows] for side in before), "rmse", days=None if by is None else days[rows])
            for name, rows in slices.items()
        }
        content = {name: item.baseline() for name, item in baselines.items()}
        result = by_slice(*now, "rmse", slices, content, bound=0.03, days=by)
        return [item.lost for item in result]

    # then rows that count one by one are sure of a loss, and days aren't.
    assert lost(None) == [True, True]
    assert lost(days) == [False, False]


def test_the_spread_between_weeks_is_what_the_days_in_them_leave_over() -> None:
    rng, days = np.random.default_rng(9), np.repeat(np.arange(140), 50)
    truth = rng.normal(size=days.size)
    scores = truth + rng.normal(size=days.size) * np.where(np.isin(days, rng.choice(140, 20)), 4.0, 1.0)
    by_rows = time_spread(truth, scores, "rmse", days // 7)
    by_days = time_spread(truth, scores, "rmse", days // 7, days=days)
    assert by_rows is not None
    assert by_days is not None
    assert by_days[0] < 0.7 * by_rows[0]
    assert by_days[1] == 20


def test_the_spread_between_weeks_is_what_chance_is_what_chance_leaves_over() -> None:
    weeks = np.repeat(np.arange(20), 1_000)
    y, scores = rows(20_000)
    steady = time_spread(y, scores, "roc_auc", weeks)
    lifts = np.random.default_rng(0).normal(1.5, 0.4, 20)
    parts = [rows(1_000, seed=100 + n, lift=float(lift)) for n, lift in enumerate(lifts)]
    swinging = time_spread(
        np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), "roc_auc", weeks
    )
    assert steady is not None
    assert swinging is not None
    assert steady[0] < 0.01
    assert swinging[0] > 0.03
    assert time_spread(y, scores, "roc_auc", weeks // 10) is None


def test_business_value_is_the_mean_worth_of_a_row() -> None:
    result = business_value([0, 1, 1, 0], [0.1, 0.9, 0.2, 0.8], lambda y, s: np.where((s > 0.5) == (y == 1), 1.0, -3.0))
    assert (result.rows, result.per_row) == (4, -1.0)
    assert result.standard_error == pytest.approx(np.std([1, 1, -3, -3], ddof=1) / 2)
    with pytest.raises(DataError, match="at least 2"):
        business_value([1], [0.5], lambda y, _: y)
