"""Rows that depend on each other count once, however many they are."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import t

from everfit.blocks.errors import NotEnoughError
from everfit.tasks.statistics.comparison import compare
from everfit.tasks.statistics.dependent_comparison import compare_dependent
from everfit.tasks.statistics.dependent_rows import Rows, grouped_gain, time_groups
from everfit.tasks.statistics.metrics import metric

DAY = 86_400 * 10**9


def a_world(
    random: np.random.Generator, days: int, rows_a_day: int, *, shared: float = 0.0, carried: float = 0.0
) -> Rows:
    """Two equal models, whose errors have a part in common within a day, which is carried over to the next."""
    rows = days * rows_a_day
    times = np.sort(random.integers(0, days * DAY, rows))
    effects, effect = np.zeros(days), random.normal()
    for day in range(days):
        effect = carried * effect + np.sqrt(1 - carried**2) * random.normal()
        effects[day] = effect
    y = random.normal(size=rows)
    of_the_day = shared * effects[times // DAY]
    return Rows(metric("rmse"), y, y + random.normal(size=rows) + of_the_day, y + random.normal(size=rows), times)


def wrong(rounds: int, make: Any, error: float = 0.05) -> float:
    """Share of rounds in which equal models are taken for different ones."""
    results = [grouped_gain(make(np.random.default_rng(seed))) for seed in range(rounds)]
    return float(np.mean([one.gain / one.standard_error > t.ppf(1 - error, one.degrees_of_freedom) for one in results]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("days", "rows_a_day", "effect", "carried"),
    [(14, 40, 0.0, 0.0), (14, 40, 0.7, 0.0), (14, 40, 0.7, 0.5), (60, 20, 0.7, 0.7), (3, 200, 0.0, 0.0)],
)
def test_equal_models_are_seldom_taken_for_different_ones(
    days: int, rows_a_day: int, effect: float, carried: float
) -> None:
    """The error is the stated one, with few days or many, and where days differ or go together."""

    def make(random: np.random.Generator) -> Rows:
        one = a_world(random, days, rows_a_day)
        # The models have errors of the day of equal size, each its own, so that neither is better.
        effects = np.zeros((2, days))
        value = random.normal(size=2)
        for day in range(days):
            value = carried * value + np.sqrt(1 - carried**2) * random.normal(size=2)
            effects[:, day] = effect * value
        of_day = effects[:, one.times // DAY]
        return one._replace(new=one.new + of_day[0], old=one.old + of_day[1])

    assert wrong(400, make) <= 0.075


@pytest.mark.slow
def test_rows_of_one_customer_count_once() -> None:
    """Given customers that one model suits and the other doesn't, then rows are not taken for independent."""

    def make(random: np.random.Generator) -> Rows:
        one = a_world(random, 30, 40)
        customer = random.integers(0, 60, one.y.size)
        suits = random.normal(size=(2, 60))[:, customer]
        return one._replace(
            new=one.new + suits[0], old=one.old + suits[1], entities={"customer": customer.astype("str")}
        )

    assert wrong(200, make) <= 0.075
    assert wrong(200, lambda random: make(random)._replace(entities={})) > 0.12


@pytest.mark.slow
def test_rows_of_few_machines_count_once_if_a_person_names_them() -> None:
    """Given 12 machines, which could be categories, then only a column that is named as the entity makes wholes."""

    def make(random: np.random.Generator) -> Rows:
        one = a_world(random, 30, 40)
        machine = random.integers(0, 12, one.y.size)
        suits = random.normal(size=(2, 12))[:, machine]
        return one._replace(new=one.new + suits[0], old=one.old + suits[1], whole={"machine": machine})

    assert wrong(200, make) <= 0.09
    assert wrong(200, lambda random: (one := make(random))._replace(entities=one.whole, whole={})) > 0.2


@pytest.mark.parametrize("name", ["rmse", "mae"])
def test_independent_rows_have_about_the_error_of_the_bootstrap(name: str) -> None:
    rows = a_world(np.random.default_rng(3), 30, 100)._replace(metric=metric(name))
    grouped = compare_dependent(rows, 0.95)
    drawn = compare(rows.y, rows.new, rows.old, name, method="bootstrap")
    assert grouped.difference == pytest.approx(drawn.difference)
    assert grouped.difference - grouped.lower == pytest.approx(drawn.difference - drawn.lower, rel=0.5)
    assert (grouped.method, grouped.grouped_by, grouped.groups) == ("jackknife", "days", 30)


def test_the_same_scores_have_no_difference() -> None:
    rows = a_world(np.random.default_rng(0), 12, 10)
    result = compare_dependent(rows._replace(new=rows.old), 0.95)
    assert (result.method, result.difference, result.lower, result.upper) == ("identical", 0.0, 0.0, 0.0)


def test_a_bound_at_another_confidence_is_further_away() -> None:
    result = compare_dependent(a_world(np.random.default_rng(0), 12, 10), 0.95)
    assert result.difference - result.reach(0.95) == pytest.approx(result.lower)
    assert result.reach(0.99) > result.reach(0.95)


@pytest.mark.parametrize(
    ("times", "unit", "groups"),
    [
        (np.arange(30) * DAY, "days", 6),
        (np.arange(480) * DAY // 24, "days", 20),
        (np.arange(96) * DAY // 24, "hours", 16),
        (np.arange(2000) * DAY, "20 days", 100),
        (np.zeros(200, dtype=np.int64), "stretches of time", 40),
    ],
)
def test_rows_are_grouped_by_days_or_by_a_shorter_unit(times: npt.NDArray[np.int64], unit: str, groups: int) -> None:
    result, name = time_groups(times)
    assert name.endswith(unit)
    assert result.max() + 1 == groups
    assert (np.diff(result) >= 0).all()


def test_rows_of_a_single_class_are_too_few() -> None:
    rows = a_world(np.random.default_rng(0), 12, 10)
    one_class = rows._replace(metric=metric("roc_auc"), y=np.ones(120), new=np.full(120, 0.4), old=np.full(120, 0.6))
    with pytest.raises(NotEnoughError, match="another class"):
        compare_dependent(one_class, 0.95)
