"""Earlier values of the same kind tell how closely values in order hang together, and no more than that."""

import numpy as np
import pytest
from scipy.stats import t
from support.autoregression import Floats, autoregression

from everfit.tasks.core.paired_comparison import Autocorrelation, EarlierGains
from everfit.tasks.gate.checks.comparison import error_of_try
from everfit.tasks.statistics.autocorrelation import BEFORE, autocorrelation_of, telling_comparisons, weights_before
from everfit.tasks.statistics.dependent_comparison import compare_dependent
from everfit.tasks.statistics.dependent_rows import Rows
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.statistics.ordered_mean import error_of_mean

DAY = 86_400 * 10**9


def _told(values: Floats, unit: str = "days") -> Autocorrelation:
    found = autocorrelation_of(values - values.mean(), unit)
    assert found is not None
    return found


def _earlier(correlation: float, days: int = 60, seed: int = 1) -> Autocorrelation:
    return _told(autoregression(np.random.default_rng(seed), days, correlation))


@pytest.mark.parametrize("correlation", [0.0, 0.4, 0.8])
def test_values_are_likeliest_at_about_their_own_autocorrelation(correlation: float) -> None:
    found = _earlier(correlation, days=2000)
    assert found.groups == 2000
    assert max(found.log_likelihoods) == 0
    assert found.log_likelihoods.index(0) == round(10 * correlation)


def test_what_values_tell_is_the_same_in_any_unit_of_the_metric_and_about_any_mean() -> None:
    values = autoregression(np.random.default_rng(3), 20, 0.5)
    assert _told(values).log_likelihoods == _told(1000 * values).log_likelihoods


@pytest.mark.parametrize("values", [np.zeros(10), np.array([1.0, 0.0, -1.0])])
def test_values_that_say_nothing_tell_nothing(values: Floats) -> None:
    assert autocorrelation_of(values, "days") is None


def test_the_newest_comparisons_of_the_same_unit_count_and_a_bounded_number() -> None:
    days = [_earlier(0.5, days=50, seed=seed) for seed in range(5)]
    hours = _told(autoregression(np.random.default_rng(9), 20, 0.5), "hours")
    other_grid = days[0].model_copy(update={"log_likelihoods": (0.0, -1.0)})
    assert telling_comparisons([*days, hours, other_grid], "days") == tuple(days[-3:])
    assert telling_comparisons([*days, hours], "hours") == (hours,)
    assert telling_comparisons([hours], "days") == ()


def test_without_earlier_values_the_weights_are_as_they_were() -> None:
    assert weights_before([]) is BEFORE


def test_no_earlier_values_rule_an_autocorrelation_out() -> None:
    alike = weights_before([_earlier(0.9, days=500)] * 3)
    assert alike.sum() == pytest.approx(1)
    assert 0 < alike[0] < 1e-5
    assert alike[9] > 0.9
    independent = weights_before([_earlier(0.0, days=500)] * 3)
    assert independent[0] > 0.5
    assert 0 < independent[9] < 1e-5


def test_an_error_is_wider_after_days_that_hung_together_and_smaller_after_independent_ones() -> None:
    values = autoregression(np.random.default_rng(0), 10, 0.3)
    deviations = (values - values.mean()) / np.sqrt(values.size - 1)

    def reach(*earlier: Autocorrelation) -> float:
        error = error_of_mean(deviations, weights_before(earlier))
        return float(t.ppf(0.97, error.degrees_of_freedom)) * error.standard_error

    assert reach(_earlier(0.8)) > 1.2 * reach() > 1.2 * reach(_earlier(0.0))


@pytest.mark.slow
@pytest.mark.parametrize("correlation", [0.3, 0.7])
def test_a_life_after_earlier_ones_has_few_wrong_releases(correlation: float) -> None:
    """Given 60 days of earlier lives and equal challengers, then all tries err in about 5 % of lives together."""
    random, lives, wrong = np.random.default_rng(0), 300, 0
    for _ in range(lives):
        before = weights_before([_told(autoregression(random, 30, correlation)) for _ in range(2)])
        days = autoregression(random, 80, correlation)
        for attempt, count in enumerate((10, 20, 40, 80), start=1):
            seen = days[:count]
            error = error_of_mean((seen - seen.mean()) / np.sqrt(count - 1), before)
            if t.sf(seen.mean() / error.standard_error, error.degrees_of_freedom) < error_of_try(0.05, attempt):
                wrong += 1
                break
    print(f"lives with a wrong release: {wrong / lives:.1%}")
    assert wrong / lives <= 0.065


def _scored(days: int, carried: float, *, rows_a_day: int = 20) -> Rows:
    """Two models, one of which has an error of the day that is carried over to the next."""
    random = np.random.default_rng(2)
    times = np.arange(days * rows_a_day) * (DAY // rows_a_day)
    y = random.normal(size=times.size)
    of_day = autoregression(random, days, carried)[times // DAY]
    return Rows(metric("rmse"), y, y + random.normal(size=y.size), y + random.normal(size=y.size) + of_day, times)


def test_a_comparison_records_what_its_days_tell_and_counts_what_earlier_ones_told() -> None:
    rows = _scored(12, 0.0)
    alone = compare_dependent(rows, 0.95, ())
    assert alone.autocorrelation is not None
    assert (alone.autocorrelation.grouped_by, alone.autocorrelation.groups, alone.earlier_groups) == ("days", 12, 0)
    earlier = [EarlierGains(champion=1, overall=_earlier(0.8)), EarlierGains(champion=2)]
    after = compare_dependent(rows, 0.95, earlier)
    assert (after.earlier_groups, after.difference) == (60, alone.difference)
    assert after.autocorrelation == alone.autocorrelation
    assert after.reach(0.97) > 1.1 * alone.reach(0.97)
    assert compare_dependent(rows, 0.95).autocorrelation is None


def test_entities_that_decide_count_no_earlier_days_but_the_days_are_recorded() -> None:
    rows = _scored(12, 0.0)
    machine = np.random.default_rng(5).integers(0, 3, rows.y.size)
    rows = rows._replace(new=rows.new + np.array([3.0, 0.0, -1.0])[machine], whole={"machine": machine})
    found = compare_dependent(rows, 0.95, [EarlierGains(champion=1, overall=_earlier(0.0))])
    assert (found.grouped_by, found.earlier_groups) == ("machine", 0)
    assert found.autocorrelation is not None
    assert found.autocorrelation.grouped_by == "days"
