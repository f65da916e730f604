"""A comparison of two models: right in the known cases, the same whoever asks, and never good news from bad data."""

import statistics
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from support.examples import examples

from everfit.blocks.errors import DataError
from everfit.tasks.core.paired_comparison import PairedComparison
from everfit.tasks.statistics import resampling
from everfit.tasks.statistics.comparison import Interval, compare, interval
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.statistics.paired_tests import delong

Array = npt.NDArray[Any]
METRICS = ["roc_auc", "average_precision", "log_loss", "brier", "accuracy", "balanced_accuracy", "f1", "rmse", "mae"]


def _models(seed: int, rows: int, better: float, worse: float, *, share: float = 0.3) -> tuple[Array, Array, Array]:
    """Labels and two models' probabilities that share some of their noise, as models of one table do."""
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < share).astype(int)
    common = rng.normal(size=rows)
    noise = rng.normal(size=(2, rows))
    first, second = (
        1 / (1 + np.exp(-(strength * y + common + 0.5 * item)))
        for strength, item in zip((better, worse), noise, strict=True)
    )
    return y, first, second


@st.composite
def _small(draw: st.DrawFn) -> tuple[Array, Array, Array]:
    """A few rows of both classes, with scores on a grid so that ties abound."""
    rows = draw(st.integers(8, 25))
    positives = draw(st.integers(3, rows - 3))
    grid = st.lists(st.integers(1, 9), min_size=rows, max_size=rows)
    y = draw(st.permutations([1] * positives + [0] * (rows - positives)))
    return np.array(y), np.array(draw(grid)) / 10, np.array(draw(grid)) / 10


def _compare_or_none(*args: Any, **options: Any) -> PairedComparison | None:
    """Few rows may be too few for a bound, which is an error, whoever is called the challenger."""
    try:
        return compare(*args, **options)
    except DataError:
        return None


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("method", ["auto", "bootstrap"])
@settings(max_examples=examples(15), deadline=None)
@given(rows=_small())
def test_swapping_the_models_mirrors_the_result(name: str, method: Any, rows: tuple[Array, Array, Array]) -> None:
    y, one, other = rows
    result = _compare_or_none(y, one, other, name, draws=100, method=method)
    swapped = _compare_or_none(y, other, one, name, draws=100, method=method)
    if result is None or swapped is None:
        assert result is swapped
        return
    assert (swapped.challenger, swapped.champion) == (result.champion, result.challenger)
    assert swapped.difference == -result.difference
    assert (swapped.lower, swapped.upper) == (-result.upper, -result.lower)
    assert (swapped.p_value, swapped.p_value_worse) == (result.p_value_worse, result.p_value)


@pytest.mark.slow
@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("method", ["auto", "bootstrap"])
@settings(max_examples=examples(15), deadline=None)
@given(rows=_small(), order=st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(
    name: str, method: Any, rows: tuple[Array, Array, Array], order: Any
) -> None:
    y, one, other = rows
    shuffled = list(range(len(y)))
    order.shuffle(shuffled)
    weights = np.arange(1, len(y) + 1) / 10
    for extra in ({}, {"weights": weights}, {"clusters": np.arange(len(y)) % 5}):
        moved = {key: values[shuffled] for key, values in extra.items()}
        result = _compare_or_none(y, one, other, name, draws=100, method=method, **extra)
        again = _compare_or_none(y[shuffled], one[shuffled], other[shuffled], name, draws=100, method=method, **moved)
        assert result == again


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=examples(10), deadline=None)
@given(rows=_small())
def test_a_challenger_that_is_the_champion_gains_exactly_nothing(name: str, rows: tuple[Array, Array, Array]) -> None:
    y, one, _ = rows
    result = compare(y, one, one.copy(), name, draws=100)
    assert (result.difference, result.lower, result.upper, result.method) == (0.0, 0.0, 0.0, "identical")
    assert (result.p_value, result.p_value_worse) == (1.0, 1.0)


def test_positive_means_better_also_where_less_is_better() -> None:
    y, better, worse = _models(0, 2000, 2.0, 0.5)
    for name in METRICS:
        result = compare(y, better, worse, name, draws=200)
        assert result.difference > 0
        assert result.lower <= result.difference <= result.upper
        assert result.difference == metric(name).gain(result.challenger, result.champion)
        assert result.challenger == pytest.approx(metric(name).score(y, better))


def _delong_by_pairs(y: Array, one: Array, other: Array) -> tuple[float, float]:
    """The difference and its standard error as in the paper: all pairs, one at a time."""

    def kernel(scores: Array) -> Array:
        gaps = scores[y == 1][:, None] - scores[y == 0][None, :]
        return np.where(gaps > 0, 1.0, np.where(gaps == 0, 0.5, 0.0))

    kernels = [kernel(one), kernel(other)]
    areas = np.array([item.mean() for item in kernels])
    of_positives = np.cov([item.mean(axis=1) for item in kernels])
    of_negatives = np.cov([item.mean(axis=0) for item in kernels])
    covariance = of_positives / (y == 1).sum() + of_negatives / (y == 0).sum()
    contrast = np.array([1, -1])
    return float(contrast @ areas), float(np.sqrt(contrast @ covariance @ contrast))


@pytest.mark.parametrize("digits", [1, 12])
def test_delong_is_that_of_the_paper(digits: int) -> None:
    y, one, other = _models(1, 300, 1.0, 0.7)
    one, other = np.round(one, digits), np.round(other, digits)
    difference, error = _delong_by_pairs(y, one, other)
    result = compare(y, one, other, "roc_auc")
    normal = statistics.NormalDist()
    assert result.method == "delong"
    assert result.difference == pytest.approx(difference)
    assert result.lower == pytest.approx(difference - normal.inv_cdf(0.95) * error)
    assert result.upper == pytest.approx(difference + normal.inv_cdf(0.95) * error)
    assert result.p_value == pytest.approx(normal.cdf(-difference / error))
    assert result.p_value_worse == pytest.approx(1 - result.p_value)


@pytest.mark.slow
def test_the_counted_bootstrap_is_the_plain_one() -> None:
    """Given the same rows, when copying rows and scoring by scikit-learn, then the spread is the same."""
    y, one, other = _models(2, 400, 1.2, 0.8)
    rng = np.random.default_rng(0)
    plain: list[float] = []
    while len(plain) < 400:
        drawn = rng.integers(0, len(y), len(y))
        plain.append(roc_auc_score(y[drawn], one[drawn]) - roc_auc_score(y[drawn], other[drawn]))
    result = compare(y, one, other, "roc_auc", method="bootstrap", draws=2000)
    error = statistics.stdev(plain)
    assert result.lower == pytest.approx(np.quantile(plain, 0.05), abs=0.25 * error)
    assert result.upper == pytest.approx(np.quantile(plain, 0.95), abs=0.25 * error)
    exact = compare(y, one, other, "roc_auc")
    assert result.lower == pytest.approx(exact.lower, abs=0.2 * error)


def test_accuracy_has_the_published_score_interval() -> None:
    """Fagerland, Lydersen and Laake, Statistics in Medicine 33 (2014): 1, 1, 7, 12 of 21 give -.517 to -.026."""
    y = np.ones(21, dtype=int)
    y[-1] = 0  # both classes, both right on it
    challenger = np.array([0.9] + [0.9] + [0.1] * 7 + [0.1] * 11 + [0.1])
    champion = np.array([0.9] + [0.1] + [0.9] * 7 + [0.1] * 11 + [0.1])
    result = compare(y, challenger, champion, "accuracy", confidence=0.975)
    assert result.method == "mcnemar"
    assert result.lower == pytest.approx(-0.517, abs=5e-4)
    assert result.upper == pytest.approx(-0.026, abs=5e-4)
    assert result.p_value_worse == pytest.approx(statistics.NormalDist().cdf(-6 / 8**0.5))


def test_bounds_and_p_values_agree() -> None:
    """The lower bound is above zero just when the p-value is below what the confidence leaves."""
    for name in ("roc_auc", "accuracy", "brier"):
        for seed in range(40):
            result = compare(*_models(seed, 300, 1.1, 0.8), name, draws=999)
            margin = 0.004 if result.method == "bootstrap" else 0
            if abs(result.p_value - 0.05) > margin:
                assert (result.lower > 0) == (result.p_value < 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["log_loss", "average_precision", "f1"])
def test_equal_models_rarely_look_better(name: str) -> None:
    """Given equal models, then the bootstrap's lower bound is above zero in about one of twenty samples."""
    better = [compare(*_models(seed, 300, 1.0, 1.0), name, draws=200).lower > 0 for seed in range(300)]
    assert np.mean(better) < 0.085  # 5 % and three standard errors


def test_rows_that_come_in_groups_count_as_groups() -> None:
    """Given days on which one model is right throughout, when days are resampled, then the bounds are wider."""
    rng = np.random.default_rng(0)
    day = np.repeat(np.arange(20), 50)
    y = rng.normal(size=1000)
    favours = rng.normal(size=20)[day]
    one, other = y + 1 + 0.3 * favours, y + 1 - 0.3 * favours
    by_row = compare(y, one, other, "mse")
    by_day = compare(y, one, other, "mse", clusters=day)
    assert by_day.upper - by_day.lower > 3 * (by_row.upper - by_row.lower)
    assert by_day.difference == by_row.difference


def test_a_weight_counts_as_often_as_it_says() -> None:
    y, one, other = _models(3, 200, 1.5, 0.5)
    weights = np.where(y == 1, 2.0, 1.0)
    result = compare(y, one, other, "log_loss", weights=weights)
    assert result.challenger == pytest.approx(metric("log_loss").score(y, one, weights))
    assert compare(y, one, other, "roc_auc", weights=weights).method == "bootstrap"  # DeLong knows no weights


def test_classes_and_numbers_are_compared_too() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 500)
    near, far = (rng.dirichlet(np.ones(3), 500) + strength * np.eye(3)[y] for strength in (1.0, 0.2))
    near, far = near / near.sum(axis=1, keepdims=True), far / far.sum(axis=1, keepdims=True)
    for name in ("log_loss", "accuracy", "f1_macro", "roc_auc_ovr", "balanced_accuracy"):
        assert compare(y, near, far, name, draws=200).lower > 0
    value = rng.normal(size=500)
    for name in ("rmse", "mae", "r2", "mape"):
        assert (
            compare(value, value + 0.1 * rng.normal(size=500), value + rng.normal(size=500), name, draws=200).lower > 0
        )


def test_the_seed_decides_and_the_number_of_processors_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    y, one, other = _models(4, 3000, 1.0, 0.9)

    def found(seed: int = 0) -> PairedComparison:
        return compare(y, one, other, "average_precision", draws=300, seed=seed)

    alone = found()
    monkeypatch.setattr(resampling, "_WORTH_THREADS", 0)
    monkeypatch.setattr(resampling, "usable_cores", lambda: 3)
    assert found() == alone
    assert found(seed=1).lower != alone.lower


def test_a_comparison_and_an_interval_survive_json() -> None:
    y, one, other = _models(5, 100, 1.0, 0.9)
    results, single = compare(y, one, other, "brier", draws=100), interval(y, one, "brier", draws=100)
    assert PairedComparison.model_validate_json(results.model_dump_json()).digest() == results.digest()
    assert Interval.model_validate_json(single.canonical_json()) == single


GOOD = [0.1, 0.6, 0.4, 0.9]


@pytest.mark.parametrize(
    ("y", "one", "other", "options", "says"),
    [
        ([1], [0.2], [0.3], {}, "a single row"),
        ([1, 1, 1, 1], GOOD, GOOD[::-1], {}, "all 4 labels are 1"),
        ([0, 1, 0, 1], [0.1, np.nan, 0.2, 0.3], GOOD, {}, "1 of 4 scores are NaN"),
        ([0, 1, 0, 1], GOOD, [0.1, np.inf, 0.2, 0.3], {}, "1 of 4 scores are NaN or infinite"),
        ([0, 1, np.nan, 1], GOOD, GOOD[::-1], {}, "1 of 4 labels are NaN"),
        ([0, 1, 0, 1], GOOD[:3], GOOD, {}, "don't fit 4 labels"),
        ([0, 1, 0, 0], GOOD, GOOD[::-1], {}, "too few rows of it for a bound"),
        ([0, 1, 0, 1], GOOD, GOOD[::-1], {"confidence": 0.5}, "confidence 0.5 is impossible"),
        ([0, 1, 0, 1], GOOD, GOOD[::-1], {"confidence": 1.0}, "confidence 1.0 is impossible"),
        ([0, 1, 0, 1], GOOD, GOOD[::-1], {"draws": 10}, "10 draws are too few for a bound"),
        ([0, 1, 0, 1], GOOD, GOOD[::-1], {"weights": [1, 1, 1]}, "give one per row"),
        ([0, 1, 0, 1], GOOD, GOOD[::-1], {"clusters": [1, 1, 1]}, "one label per row"),
        ([0, 1, 0, 1], GOOD, GOOD[::-1], {"clusters": [1, 1, 1, 1]}, "two groups"),
    ],
)
def test_data_that_tells_nothing_is_an_error(y: Any, one: Any, other: Any, options: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        compare(y, one, other, "roc_auc", **options)


def test_one_kind_of_label_is_an_error_for_every_classifier() -> None:
    for name in ("accuracy", "log_loss", "brier"):
        with pytest.raises(DataError, match="all 3 labels are 0"):
            compare([0, 0, 0], [0.1, 0.2, 0.3], [0.5, 0.5, 0.5], name)


def test_a_draw_without_a_value_speaks_against_both_sides() -> None:
    """Given few positives, when some draws have none, then neither bound gets closer for it."""
    y = np.array([1, 1, 1, 1] + [0] * 60)
    rng = np.random.default_rng(0)
    one = np.clip(0.5 * y + rng.random(64) / 2, 0, 1)
    result = compare(y, one, rng.random(64), "roc_auc", method="bootstrap", draws=2000)
    assert result.p_value >= 0.01  # about e^-4 of the draws have no positive


@pytest.mark.parametrize("method", ["auto", "bootstrap"])
def test_the_interval_covers_the_truth_as_often_as_it_says(method: Any) -> None:
    """Scores of N(1, 1) against N(0, 1) have an AUC of Φ(1/√2)."""
    truth, inside = statistics.NormalDist().cdf(1 / 2**0.5), []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        y = np.repeat([0, 1], 100)
        result = interval(y, y + rng.normal(size=200), "roc_auc", draws=200, method=method)
        inside.append(result.lower <= truth <= result.upper)
    assert 0.89 < np.mean(inside) < 0.99


def test_an_interval_stays_in_the_range_of_the_metric() -> None:
    y = np.array([0] * 10 + [1] * 10)
    scores = np.linspace(0, 1, 20)
    scores[[9, 10]] = scores[[10, 9]]
    result = interval(y, scores, "roc_auc")
    assert result.lower < result.value < result.upper == 1.0
    with pytest.raises(DataError, match="all 2 labels"):
        interval([1, 1], [0.1, 0.2], "roc_auc")


def test_delong_of_models_that_never_vary_has_no_width() -> None:
    y = np.array([0.0, 0.0, 1.0, 1.0])
    result = delong(y, np.array([0.1, 0.2, 0.8, 0.9]), np.full(4, 0.5), 0.95)
    assert result == (0.5, 0.5, 0.0, 1.0)


def _adjusted_one_by_one(p_values: list[float]) -> list[float]:
    """The definition: the smallest m/j p(j) over the ranks j from a value's own upwards, and at most 1."""
    ordered, count = sorted(p_values), len(p_values)
    scaled = [min(1.0, value * count / rank) for rank, value in enumerate(ordered, 1)]
    return [min(scaled[ordered.index(value) :]) for value in p_values]
