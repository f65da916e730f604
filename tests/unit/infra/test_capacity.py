"""When the capacity of a version is known."""

import pytest

from everfit.infra.serving.capacity import rounds_agree


@pytest.mark.parametrize(
    ("rates", "agree"),
    [
        ([], False),
        ([1000.0], False),
        ([1000.0, 980.0], True),
        ([1000.0, 900.0], False),  # one of them was disturbed
        ([700.0, 1000.0, 500.0, 980.0], True),  # other work only slows a round
        ([1000.0, 1000.0, 1100.0], False),  # a better round shows that the earlier ones were disturbed
    ],
)
def test_it_is_known_once_the_two_best_rounds_agree(rates: list[float], agree: bool) -> None:
    assert rounds_agree(rates) is agree
