"""What is natural for a column is measured over as many rows as the window has."""

import numpy as np
import pytest

from everfit.tasks.statistics.run_lengths import longest_within, run_lengths


def test_months_and_dry_spells_are_uniform_over_short_stretches_only() -> None:
    month = np.repeat(np.arange(12.0), 1_000)
    measured = run_lengths(month)
    assert [spell.rows for spell in measured] == [50, 200, 800, 3_200]
    assert [spell.one_value for spell in measured] == pytest.approx([1, 1, 1, 1_000 / 3_200], abs=0.1)
    assert longest_within(measured, 700).one_value == 1
    assert longest_within(measured, 7_000).one_value < 0.5


def test_missing_values_do_not_hide_that_a_column_is_nearly_constant() -> None:
    rng = np.random.default_rng(0)
    engines = np.where(rng.random(5_000) < 0.2, np.nan, np.where(rng.random(5_000) < 0.01, 4.0, 2.0))
    measured = run_lengths(engines)
    assert all(spell.one_value > 0.97 for spell in measured)
    assert 0.2 < measured[-1].missing < 0.3


def test_an_outage_is_remembered() -> None:
    values = np.random.default_rng(0).normal(size=2_000)
    values[400:600] = np.nan
    values[1_000] = np.inf
    assert [spell.missing for spell in run_lengths(values)] == [1.0, 1.0, pytest.approx(0.25)]
    assert all(spell.one_value < 0.1 for spell in run_lengths(values))


def test_rows_are_measured_in_order_of_time() -> None:
    order = np.random.default_rng(0).permutation(1_000)
    month = np.repeat(np.arange(10.0), 100)
    assert run_lengths(month[order])[0].one_value < 0.5
    assert run_lengths(month[order], np.argsort(order))[0].one_value == 1


def test_a_value_of_few_rows_bounds_long_stretches_without_looking() -> None:
    values = np.random.default_rng(0).permutation(np.repeat(np.arange(100.0), 30))
    measured, bounded = run_lengths(values), run_lengths(values, most=30)
    assert bounded[0] == measured[0]
    assert all(low.one_value <= high.one_value < 0.5 for low, high in zip(measured, bounded, strict=True))


def test_where_nothing_is_known_all_is_natural() -> None:
    assert run_lengths(np.zeros(60)) == ()
    assert longest_within((), 1_000).one_value == 1
