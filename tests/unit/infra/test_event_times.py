"""Event times of requests are near enough to the present to be true."""

from datetime import UTC, datetime, timedelta

import pytest

from everfit.blocks.serving import ServingPolicy
from everfit.infra.serving.protocol import check_times
from everfit.tasks.models.input_column import InputError

NOW = datetime(2024, 6, 1, tzinfo=UTC)
POLICY = ServingPolicy(max_age=timedelta(days=30), max_ahead=timedelta(days=2))


def us(at: datetime) -> int:
    return round(at.timestamp() * 1e6)


@pytest.mark.parametrize("days", [-30, -1, 0, 2])
def test_times_within_the_bounds_pass_and_missing_ones_too(days: int) -> None:
    check_times([None, us(NOW + timedelta(days=days))], "at", us(NOW), POLICY)


@pytest.mark.parametrize("days", [-30.1, 2.1, -40_000, 60_000])
def test_times_outside_of_them_are_refused_with_the_bounds(days: float) -> None:
    says = "column 'at', row 1: expected a time from 2024-05-02 to 2024-06-03 .*max_age and max_ahead"
    with pytest.raises(InputError, match=says):
        check_times([None, us(NOW + timedelta(days=days))], "at", us(NOW), POLICY)
