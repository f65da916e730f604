"""The newest parts that agree tell about now; older ones that disagree tell about another world."""

import math

import numpy as np
import pytest

from everfit.tasks.statistics.newest_parts import Gain, agreeing_parts


def found(values: list[float], error: float = 0.02, freedom: float = math.inf) -> int:
    """Of parts with these gains, the newest first."""

    def gain(newest: int, oldest: int) -> Gain | None:
        part = values[newest:oldest]
        return None if np.isnan(part).any() else Gain(float(np.mean(part)), error / math.sqrt(len(part)), freedom)

    return agreeing_parts(len(values), gain)


@pytest.mark.parametrize(
    ("values", "agreeing"),
    [
        ([0.1], 1),
        ([0.1, 0.11, 0.09, 0.1], 4),
        ([0.5, 0.48, 0.0, 0.01], 2),
        ([0.5, 0.0, 0.0, 0.0], 1),
        ([math.nan, 0.1, 0.1], 3),  # too few rows to tell: no disagreement
    ],
)
def test_parts_agree_until_one_is_far_off(values: list[float], agreeing: int) -> None:
    assert found(values) == agreeing


def test_few_degrees_of_freedom_let_parts_differ_more() -> None:
    assert found([0.10, 0.18], 0.02) == 1
    assert found([0.10, 0.18], 0.02, freedom=3) == 2
