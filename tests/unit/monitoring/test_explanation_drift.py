"""Explanations drift when the model rests on other features."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfit.blocks.errors import DataError
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.monitoring.signals.explanation_drift import explanation_drift

POLICY = MonitoringPolicy()
profiles = st.dictionaries(st.sampled_from("abcdef"), st.floats(0.01, 100), min_size=1)


def test_units_do_not_matter() -> None:
    assert explanation_drift({"wind": 3, "rain": 1}, {"wind": 30, "rain": 10}, POLICY).distance == 0


def test_a_feature_that_takes_over_is_drift_and_named_first() -> None:
    result = explanation_drift({"wind": 6, "rain": 3, "snow": 1}, {"wind": 2, "rain": 3, "snow": 5}, POLICY)
    assert (result.drifted, result.distance) == (True, pytest.approx(0.4))
    assert "wind -40%" in result.summary


@given(profiles, profiles)
def test_the_distance_is_a_share_and_symmetric(one: dict[str, float], other: dict[str, float]) -> None:
    there, back = explanation_drift(one, other, POLICY), explanation_drift(other, one, POLICY)
    assert 0 <= there.distance <= 1 + 1e-12
    assert there.distance == pytest.approx(back.distance)


@pytest.mark.parametrize("broken", [{}, {"wind": 0.0}, {"wind": float("nan")}, {"wind": float("inf")}])
def test_a_profile_without_shares_is_an_error(broken: dict[str, float]) -> None:
    with pytest.raises(DataError, match="no shares"):
        explanation_drift({"wind": 1.0}, broken, POLICY)
