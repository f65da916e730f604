"""Which inputs of a client count as changed copies of its last ones."""

import math
from typing import Any

import numpy as np

from everfit.infra.serving.query_attacks import QueryAttackDetector

_REMEMBERED = 40
NUMBERS = {"distance", "wind"}


def inputs(rows: int, seed: int = 0) -> dict[str, list[Any]]:
    """Inputs of few values, so that many are changed copies, and some are the same again."""
    random = np.random.default_rng(seed)
    return {
        "distance": random.choice([0.0, -0.0, 10.0, 10.01, -10.0, 700.5, 1e300], rows).tolist(),
        "wind": random.choice(np.array([None, 3.25, 3.26, 5e-324]), rows).tolist(),
        "seats": random.choice([50, 51, 300], rows).tolist(),
        "carrier": random.choice(["AA", "B6", "UA"], rows).tolist(),
    }


def copies(detector: QueryAttackDetector) -> int:
    """Return how many of the last inputs were changed copies."""
    return detector._clients["shop"].copies


def rounded(value: Any) -> Any:
    """Return a number with five bits of its fraction, as the module says it."""
    if not isinstance(value, float) or value == 0:
        return value
    fraction, exponent = math.frexp(value)
    return exponent, int(fraction * 64)


def test_a_copy_differs_in_one_feature_or_hardly_from_one_of_the_last_inputs() -> None:
    detector = QueryAttackDetector(_REMEMBERED, 0.8, 60)
    rows = list(zip(*(values := inputs(400)).values(), strict=True))
    last: list[tuple[tuple[Any, ...], bool]] = []
    for row in rows:
        if row not in [one for one, _ in last]:
            near = [
                sum(one != other for one, other in zip(row, known, strict=True)) == 1
                or [*map(rounded, row)] == [*map(rounded, known)]
                for known, _ in last
            ]
            last = [*last, (row, any(near))][-_REMEMBERED:]
        detector.add_request("shop", dict(zip(values, [[one] for one in row], strict=True)), 1, NUMBERS)
        assert copies(detector) == sum(copy for _, copy in last)
    assert 0 < copies(detector) < _REMEMBERED
    assert len(detector._clients["shop"].known) <= 5 * _REMEMBERED  # what was forgotten takes no memory


def test_it_does_not_matter_in_which_requests_the_rows_come() -> None:
    alone, together = (QueryAttackDetector(_REMEMBERED, 0.8, 60) for _ in range(2))
    for seed in range(20):
        values = inputs(10, seed)
        together.add_request("shop", values, 10, NUMBERS)
        for row in range(10):
            alone.add_request("shop", {name: column[row : row + 1] for name, column in values.items()}, 1, NUMBERS)
        assert copies(alone) == copies(together)
