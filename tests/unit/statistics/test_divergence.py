"""Effect sizes don't grow when rows get few, and p-values are what they say."""

import numpy as np
import pytest

from everfit.tasks.statistics import divergence


def test_total_variation_is_the_share_that_moved() -> None:
    assert divergence.tvd(np.array([50, 50, 0]), np.array([50, 30, 20])) == pytest.approx(0.2)


@pytest.mark.parametrize("method", ["psi", "jensenshannon"])
def test_the_effect_is_free_of_the_bias_of_few_rows(method: str) -> None:
    # Two samples of one distribution; the plain PSI of 10 cells is 9 * (1/n + 1/m) on average.
    rng = np.random.default_rng(1)
    cells = np.full(10, 0.1)
    pairs = [(rng.multinomial(400, cells), rng.multinomial(400, cells)) for _ in range(400)]
    plain = np.array([divergence.statistic(method, *pair) for pair in pairs])
    power = 1 if method == "psi" else 2
    expected = 9 * (2 / 400) / (1 if method == "psi" else 8)

    assert np.mean(plain**power) == pytest.approx(expected, rel=0.1)
    assert np.mean([divergence.effect(method, *pair) ** power for pair in pairs]) < expected * 0.4


@pytest.mark.parametrize("method", ["psi", "jensenshannon", "tvd"])
def test_the_effect_is_the_plain_statistic_when_rows_are_many(method: str) -> None:
    old, new = np.array([400_000, 300_000, 300_000]), np.array([300_000, 300_000, 400_000])
    assert divergence.effect(method, old, new) == pytest.approx(divergence.statistic(method, old, new), rel=0.01)


def test_p_values_are_uniform_when_nothing_has_moved() -> None:
    rng = np.random.default_rng(2)
    cells = np.array([0.3, 0.3, 0.2, 0.1, 0.05, 0.04, 0.009, 0.001])
    p_values = [divergence.p_value(rng.multinomial(1000, cells), rng.multinomial(500, cells)) for _ in range(1500)]
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.02)
    assert np.mean(np.array(p_values) < 0.5) == pytest.approx(0.5, abs=0.05)


def test_p_values_equal_those_of_scipy() -> None:
    from scipy.stats import chi2_contingency

    old, new = np.array([50, 30, 20]), np.array([60, 60, 80])
    assert divergence.p_value(old, new) == pytest.approx(chi2_contingency([old, new], correction=False).pvalue)


def test_cells_too_sparse_are_pooled() -> None:
    old, new = divergence.pool_sparse(np.array([500, 400, 3, 2, 0]), np.array([450, 450, 1, 0, 0]))
    assert old.tolist() == [500, 400, 5]
    assert new.tolist() == [450, 450, 1]


def test_no_rows_have_no_shares() -> None:
    with pytest.raises(ValueError, match="no rows"):
        divergence.shares(np.array([0, 0]))


def test_many_sparse_cells_are_pooled_into_several() -> None:
    # Given 50 equal values of 20,000 rows, and a window of a hundred, of which one value has half,
    old, new = np.full(50, 400), np.ones(50, dtype=np.int64)
    new[7] = 51
    pooled = divergence.pool_sparse(old, new)
    assert pooled[0].size > 10
    assert divergence.effect("jensenshannon", old, new) > 0.2
    assert divergence.p_value(old, new) < 1e-6


def test_a_rare_value_that_comes_often_is_seen_and_one_that_stays_away_is_not() -> None:
    old = np.array([19_980, 20])
    assert divergence.comparable(old, np.array([100, 0]))
    assert divergence.p_value(old, np.array([100, 0])) == 1.0
    assert divergence.p_value(old, np.array([90, 10])) < 1e-6
    assert divergence.effect("jensenshannon", old, np.array([90, 10])) > 0.1


def test_several_cells_of_a_few_rows_are_nothing_to_compare_by() -> None:
    few = np.array([2, 1, 1, 2])
    assert not divergence.comparable(few, np.array([300, 0, 0, 0]))
    assert divergence.comparable(np.array([500, 0]), np.array([100, 0]))  # one value, which is still the only one


@pytest.mark.parametrize(("cells", "rows", "window"), [(50, 20_000, 100), (20, 20_000, 200), (50, 500, 100)])
def test_pooling_finds_no_more_in_equal_samples_than_it_may(cells: int, rows: int, window: int) -> None:
    rng, shares = np.random.default_rng(4), np.full(cells, 1 / cells)
    # The reference's cells come in the order of its counts, as categories do.
    pairs = [(-np.sort(-rng.multinomial(rows, shares)), rng.multinomial(window, shares)) for _ in range(400)]
    assert np.mean([divergence.p_value(*pair) < 0.05 for pair in pairs]) <= 0.08
