"""Sums in parts are those of all numbers, rounded once."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

from everfit.tasks.statistics.exact_moments import Moments, moments_of

numbers = st.floats(-1e150, 1e150)


@settings(max_examples=examples(300))
@given(st.lists(numbers | st.floats(-1e3, 1e3), min_size=2, max_size=40), st.data())
def test_parts_in_any_order_have_the_moments_of_all(values: list[float], data: st.DataObject) -> None:
    mixed = np.array(data.draw(st.permutations(values)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=4)))

    found = sum((moments_of(part) for part in np.split(mixed, cuts)), Moments())

    assert found.count == len(values)
    assert found.total == sum(map(statistics.Fraction, values))
    assert found.squares == sum(statistics.Fraction(value) ** 2 for value in values)
    assert found.sum == math.fsum(values)
    assert found.mean == statistics.mean(values)
    assert found.stdev == pytest.approx(statistics.stdev(values), rel=1e-15)


def test_whole_numbers_stay_whole() -> None:
    found = moments_of(np.array([2**62, 2**62, 1])) + moments_of(np.array([True, False]))
    assert (found.sum, type(found.sum), found.count) == (2**63 + 2, int, 5)
    assert moments_of(np.array([2**62, 2**62 + 2])).stdev == pytest.approx(math.sqrt(2))


def test_what_is_not_finite_is_not_hidden() -> None:
    assert moments_of(np.array([1.0, math.inf])).mean == math.inf
    assert math.isnan(moments_of(np.array([-math.inf, math.inf])).sum)
    assert math.isnan(moments_of(np.array([1.0, math.inf])).stdev)
    assert math.isnan(Moments().mean)
    assert moments_of(np.array([1e308, 1e308])).sum == math.inf
    assert math.isnan(moments_of(np.array([1.0])).stdev)


def test_many_numbers_are_summed_as_python_sums_them() -> None:
    values = np.random.default_rng(0).lognormal(size=100_000) * 1e6
    found = moments_of(values)
    assert found.sum == math.fsum(values)
    assert found.stdev == pytest.approx(float(values.std(ddof=1)), rel=1e-12)
