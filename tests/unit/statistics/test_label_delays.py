"""The time after which labels are known is found though the slow labels of new rows have not come yet."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from everfit.tasks.statistics.label_delays import label_delays

NOW = pd.Timestamp("2024-03-01", tz="UTC")
Draw = Callable[[np.random.Generator, "np.ndarray[tuple[int], np.dtype[np.float64]]"], object]
NEVER = 9_999.0


def observed(draw: Draw, rows: int = 5_000, days: int = 60, seed: int = 0) -> tuple[pd.Series, pd.Series]:
    """Return events of the last days, and the times of the labels that have come by now."""
    random = np.random.default_rng(seed)
    age = random.uniform(0, days, rows)
    events = pd.Series(NOW - pd.to_timedelta(age, unit="D"))
    known = events + pd.to_timedelta(pd.Series(np.asarray(draw(random, age), dtype=np.float64)), unit="D")
    return events, known.where(known <= NOW)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "truth", "coverage"),
    [
        pytest.param(lambda random, age: np.full(len(age), 7.0), 7.0, 0.99, id="constant"),
        pytest.param(lambda random, age: random.exponential(20, len(age)), 92.1, 0.99, id="exponential"),
        pytest.param(
            lambda random, age: np.where(random.random(len(age)) < 0.7, 5.0, 40.0), 40.0, 0.99, id="by segment"
        ),
        pytest.param(lambda random, age: np.where(age > 30, 5.0, 20.0), 20.0, 0.99, id="changing"),
        pytest.param(
            lambda random, age: random.exponential(np.where(age > 24, 4.0, 2.0)), 9.2, 0.99, id="changed lately"
        ),
        pytest.param(
            lambda random, age: np.where(random.random(len(age)) < 0.2, NEVER, 10.0), 10.0, 0.79, id="some never"
        ),
        pytest.param(
            lambda random, age: np.where(random.random(len(age)) < 0.4, NEVER, random.exponential(10, len(age))),
            46.1,
            0.59,
            id="many never, and late ones as old as the rows",
        ),
        pytest.param(
            lambda random, age: np.where(random.random(len(age)) < 0.2, NEVER, random.uniform(0, 50, len(age))),
            49.5,
            0.79,
            id="some never, and a sharp end",
        ),
    ],
)
def test_the_maturity_is_within_a_tenth_of_the_truth(draw: Draw, truth: float, coverage: float) -> None:
    found = label_delays(*observed(draw), NOW)

    assert found is not None
    assert found.days == pytest.approx(truth, rel=0.1)
    assert found.lower <= truth * 1.02
    assert found.upper >= truth * 0.98
    assert found.coverage == pytest.approx(coverage, abs=0.03)
    assert found.maturity.days == int(np.ceil(found.days - 1e-9))


def test_what_only_newer_rows_show_is_said() -> None:
    found = label_delays(*observed(lambda random, age: np.where(age > 30, 5.0, 20.0)), NOW)

    assert found is not None
    assert (found.changed, found.beyond) == (True, False)


@pytest.mark.slow
def test_a_delay_beyond_the_data_is_said() -> None:
    found = label_delays(*observed(lambda random, age: random.exponential(20, len(age))), NOW)

    assert found is not None
    assert (found.changed, found.beyond) == (False, True)


def test_where_late_labels_cannot_be_told_from_those_that_never_come_it_is_said() -> None:
    """Given rows of 60 days, labels that take 30 days on average, and 40 % that never come."""

    def draw(random: np.random.Generator, age: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> object:
        return np.where(random.random(len(age)) < 0.4, NEVER, random.exponential(30, len(age)))

    found = label_delays(*observed(draw), NOW)

    assert found is not None
    assert found.unsure
    assert found.lower <= 138.2 <= found.upper


@pytest.mark.parametrize("followed", [14.5, 30])
def test_labels_that_all_take_as_long_say_nothing_of_others_before_rows_are_older(followed: float) -> None:
    """Given labels that come after 14 days, and 30 % without one."""
    random = np.random.default_rng(0)
    age = np.linspace(0, followed, 3_000)
    events = pd.Series(NOW - pd.to_timedelta(age, unit="D"))
    delay = pd.Series(np.where(random.random(3_000) < 0.3, NEVER, 14.0))
    known = events + pd.to_timedelta(delay, unit="D")

    found = label_delays(events, known.where(known <= NOW), NOW)

    assert found is not None
    assert found.days == pytest.approx(14)
    assert found.unsure == (followed < 15)


def test_delays_that_end_sharply_are_not_taken_for_a_tail_after_a_change() -> None:
    """Given that since two weeks labels take three to five days, and one to five before, of 60 rows a day."""

    def draw(random: np.random.Generator, age: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> object:
        return random.uniform(np.where(age > 14, 1, 3), 5)

    found = label_delays(*observed(draw, rows=3_600), NOW)

    assert found is not None
    assert (found.changed, found.beyond) == (True, False)
    assert found.days == pytest.approx(4.98, abs=0.1)


def test_few_labels_say_nothing() -> None:
    assert label_delays(*observed(lambda random, age: np.full(len(age), 59.9), rows=300), NOW) is None
