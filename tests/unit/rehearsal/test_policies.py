"""Simple policies and the best plan in hindsight, over a matrix of losses."""

from itertools import combinations

import numpy as np
import pytest

from everfit.tasks.rehearsal.policies import Floats, at, best_cadence, cadence, cusum, hindsight, missed, never


def losses(windows: int, seed: int = 0) -> Floats:
    """Losses of a model by training end and window; NaN where the window is earlier."""
    matrix = np.random.default_rng(seed).uniform(0, 1, (windows, windows))
    return np.where(np.tri(windows, k=-1, dtype=bool), np.nan, matrix)


def all_plans(windows: int) -> list[tuple[int, ...]]:
    later = range(1, windows)
    return [(0, *chosen) for count in range(windows) for chosen in combinations(later, count)]


@pytest.mark.parametrize("price", [0.0, 0.1, 0.3, 5.0])
@pytest.mark.parametrize("seed", range(5))
def test_no_plan_costs_less_than_that_in_hindsight(price: float, seed: int) -> None:
    matrix = losses(8, seed)
    least = min(at(matrix, fits).cost(price) for fits in all_plans(8))
    assert hindsight(matrix, price).cost(price) == pytest.approx(least)


def test_windows_without_labels_count_for_nobody_in_hindsight() -> None:
    matrix = losses(7, 3)
    matrix[:, [2, 5]] = np.nan
    least = min(at(matrix, fits).cost(0.2) for fits in all_plans(7))
    assert hindsight(matrix, 0.2).cost(0.2) == pytest.approx(least)


def test_where_training_brings_nothing_hindsight_never_trains() -> None:
    assert hindsight(np.ones((6, 6)), 0.0).turns == 0


def test_a_cadence_uses_each_model_until_the_next() -> None:
    plan = cadence(losses(7), 3)
    assert plan.fits == (0, 3, 6)
    assert plan.used == (0, 0, 0, 3, 3, 3, 6)
    assert never(losses(7)).turns == 0


def test_the_best_cadence_depends_on_the_price_of_a_turn() -> None:
    matrix = np.array([[0.1 * (window - fit) for window in range(8)] for fit in range(8)])
    assert best_cadence(matrix, 0.0)[0] == 1
    assert best_cadence(matrix, 0.5)[0] == 4


def sudden() -> Floats:
    """After the second window models of before are worse, and new ones are not."""
    return np.array([[0.4 if window > 1 and fit <= 1 else 0.1 for window in range(8)] for fit in range(8)])


def test_an_alarm_of_the_cusum_trains_before_the_next_window() -> None:
    assert cusum(sudden(), 0.1).fits == (0, 3)


def test_the_cusum_waits_for_labels_and_blames_no_model_for_the_windows_of_another() -> None:
    assert cusum(sudden(), 0.1, late=2).fits == (0, 5)
    assert cusum(np.full((6, 6), 0.1), 0.1).turns == 0


def test_a_turn_is_wrong_if_its_model_did_no_better_until_the_next() -> None:
    matrix = sudden()
    assert missed(matrix, cadence(matrix, 1)) == (1, 3, 4, 5, 6, 7)  # only the model before window 2 was better
    assert missed(matrix, cadence(matrix, 4)) == ()
