"""The mean of a few values that may hang together is as uncertain as the stated errors need, and no more."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import t
from support.autoregression import autoregression

from everfit.tasks.gate.checks.comparison import error_of_try
from everfit.tasks.statistics.ordered_mean import MeanError, error_of_mean

Floats = npt.NDArray[np.float64]


def uncertainty(values: Floats) -> MeanError:
    return error_of_mean((values - values.mean()) / np.sqrt(values.size - 1))


def chance(values: Floats) -> float:
    """Return the p-value of a mean that is not above 0."""
    error = uncertainty(values)
    return float(t.sf(values.mean() / error.standard_error, error.degrees_of_freedom))


def by_definition(values: Floats, mean: float) -> float:
    """Return the chance of a mean below a number, with all matrices written out."""
    count, logs, below = values.size, list[float](), list[float]()
    ones, moments = np.ones(count), np.arange(count) - (count - 1) / 2
    moments /= moments.std()
    for trend, trend_weight in ((0.0, 0.7), (1.0, 0.3)):
        for place in range(10):
            correlations = (place / 10) ** np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
            inverse = np.linalg.inv(correlations + trend * np.outer(moments, moments))
            centre = ones @ inverse @ values / (ones @ inverse @ ones)
            squares = (values - centre) @ inverse @ (values - centre)
            weight = trend_weight * (0.5 if place == 0 else 0.5 / 9)
            likelihood = np.linalg.slogdet(inverse)[1] - np.log(ones @ inverse @ ones)
            logs.append(float(np.log(weight) + (likelihood - (count - 1) * np.log(squares)) / 2))
            of_mean = ones @ correlations @ ones / count**2
            below.append(float(t.cdf(mean / np.sqrt(squares / (count - 1) * of_mean), count - 1)))
    weights = np.exp(np.array(logs) - max(logs))
    return float(weights @ below / weights.sum())


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_the_bounds_are_those_of_the_average_over_the_autocorrelations(correlation: float) -> None:
    values = autoregression(np.random.default_rng(5), 12, correlation)
    found = uncertainty(values)
    for probability in (0.95, 0.995):
        bound = float(t.ppf(probability, found.degrees_of_freedom)) * found.standard_error
        assert by_definition(values, bound) == pytest.approx(probability, abs=2e-4)


@pytest.mark.slow
def test_a_champions_life_has_few_wrong_releases_also_if_days_hang_together() -> None:
    """Given equal challengers, tried when the days have doubled, then the error over all tries is the stated one."""
    random, lives, wrong = np.random.default_rng(0), 300, 0
    for _ in range(lives):
        days = autoregression(random, 80, 0.5)
        tries = enumerate((10, 20, 40, 80), start=1)
        wrong += any(chance(days[:count]) < error_of_try(0.05, attempt) for attempt, count in tries)
    print(f"lives with a wrong release: {wrong / lives:.1%}")
    assert wrong / lives <= 0.065


def test_ten_days_that_all_gain_are_a_proof_though_neighbours_are_alike() -> None:
    # as measured where prices rise and a model grows old; by an estimate of the autocorrelation, the chance was 17 %
    gains = np.array([0.25, 0.35, 0.35, 0.35, 0.15, 0.04, 0.25, 0.22, 0.24, 0.26])
    assert chance(gains) < error_of_try(0.05, 1)
    assert chance(gains - 0.2) > 0.05


def test_a_gain_that_grows_steadily_is_not_taken_for_dependence() -> None:
    noise = 0.3 * np.random.default_rng(1).normal(size=20)
    grows = np.linspace(-1, 1, 20) + noise
    there_and_back = np.abs(np.linspace(-2, 2, 20)) - 1 + noise
    assert uncertainty(grows).standard_error < 0.6 * uncertainty(there_and_back).standard_error


@pytest.mark.parametrize("values", [np.zeros(10), np.array([1.0, 2.0, 4.0])])
def test_values_that_say_nothing_about_dependence_count_as_independent(values: Floats) -> None:
    found = uncertainty(values)
    assert found.standard_error == pytest.approx(values.std(ddof=1) / np.sqrt(values.size))
    assert found.degrees_of_freedom == values.size - 1
