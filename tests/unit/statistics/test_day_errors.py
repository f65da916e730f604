"""Rows of one day that depend on each other count as days, and independent ones as rows."""

import numpy as np
import pytest

from everfit.tasks.statistics.comparison import interval
from everfit.tasks.statistics.day_errors import dependent_error, error_by_days, mean_error_by_days
from everfit.tasks.statistics.metrics import metric


def a_month(seed: int, between: float, days: int = 28, rows: int = 100) -> tuple[np.ndarray, ...]:
    """Labels, predictions and days; the error of a day varies by `between`."""
    rng, day = np.random.default_rng(seed), np.repeat(np.arange(days), rows)
    truth = rng.normal(size=day.size)
    size = np.exp(between * rng.normal(size=days))[day]
    return truth, truth + rng.normal(size=day.size) * size, day


@pytest.mark.parametrize("between", [0.0, 0.4])
def test_the_error_is_what_months_really_differ_by(between: float) -> None:
    months = [a_month(seed, between) for seed in range(150)]
    real = float(np.std([metric("rmse").score(y, scores) for y, scores, _ in months]))
    errors = [error_by_days(y, scores, "rmse", days) for y, scores, days in months]
    assert np.mean([error for error in errors if error is not None]) == pytest.approx(real, rel=0.2)


@pytest.mark.slow
def test_days_count_only_where_rows_of_a_day_depend_on_each_other() -> None:
    def chosen(between: float) -> list[bool]:
        results = []
        for seed in range(40):
            y, scores, days = a_month(seed, between)
            half = interval(y, scores, "rmse", draws=200)
            rows = (half.upper - half.lower) / 3.92
            results.append(dependent_error(rows, error_by_days(y, scores, "rmse", days)) > rows)
        return results

    assert np.mean(chosen(0.0)) < 0.45
    assert np.mean(chosen(0.4)) == 1


def test_many_days_are_left_out_in_blocks_and_few_say_nothing() -> None:
    y, scores, days = a_month(0, 0.4, days=200, rows=20)
    assert error_by_days(y, scores, "rmse", days) is not None
    assert error_by_days(y, scores, "rmse", days % 3) is None
    assert mean_error_by_days(scores, days % 3) is None
    assert dependent_error(0.1, None) == 0.1


def test_a_day_without_which_there_is_one_class_gives_no_error() -> None:
    y, days = np.repeat([0.0, 0, 0, 0, 1], 20), np.repeat(np.arange(5), 20)
    assert error_by_days(y, np.linspace(0, 1, 100), "roc_auc", days) is None


def test_rows_count_by_their_weight() -> None:
    y, scores, days = a_month(3, 0.4)
    heavy = np.where(days < 14, 1.0, 0.0)
    alone = error_by_days(y[days < 14], scores[days < 14], "mae", days[days < 14])
    assert error_by_days(y, scores, "mae", days, heavy) == pytest.approx(alone, rel=0.3)
