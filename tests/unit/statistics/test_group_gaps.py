"""The widest difference between groups, and the calibration error: how often their lower ends are wrong."""

import numpy as np
import pytest

from everfit.tasks.statistics.group_gaps import calibration_gap, widest_gap


def answers(
    random: np.random.Generator, rows: int, groups: int, gap: float, by_day: float = 0.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    group, day = random.choice([str(number) for number in range(groups)], rows), random.integers(0, 14, rows)
    chance = 0.3 + gap * (group == "0") + by_day * random.normal(size=14)[day]
    return (random.uniform(size=rows) < np.clip(chance, 0, 1)).astype(float), group, day


@pytest.mark.slow
@pytest.mark.parametrize(("groups", "by_day"), [(2, 0.0), (6, 0.0), (6, 0.1)])
def test_equal_groups_are_rarely_called_different(groups: int, by_day: float) -> None:
    random = np.random.default_rng(1)

    found = [widest_gap(*answers(random, 1_000, groups, 0.0, by_day)) for _ in range(200)]

    assert sum(gap is not None and gap.low > 0 for gap in found) <= 200 * 0.08


def test_a_wide_gap_is_found_between_its_groups() -> None:
    gap = widest_gap(*answers(np.random.default_rng(2), 4_000, 3, 0.2))

    assert gap is not None
    assert gap.names[0] == "0"
    assert 0.1 < gap.low < gap.value < gap.high < 0.35


def test_groups_of_a_few_rows_are_left_out() -> None:
    values, groups, days = answers(np.random.default_rng(3), 300, 1, 0.0)
    groups[:19] = "few"

    assert widest_gap(values, groups, days) is None


def test_a_group_that_always_gets_the_same_answer_still_has_an_error() -> None:
    values, groups = np.repeat([0.0, 1.0], 20), np.repeat(["a", "b"], 20)

    gap = widest_gap(values, groups, np.tile(np.arange(10), 4))

    assert gap is not None
    assert 0.5 < gap.low < 1.0


def calibrated(random: np.random.Generator, rows: int, shift: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    predicted, day = random.uniform(0.05, 0.85, rows), random.integers(0, 14, rows)
    return predicted, (random.uniform(size=rows) < predicted + shift).astype(float), day


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "limit"), [(0.0, 0.02), (0.05, 0.05)])
def test_an_error_within_its_limit_is_rarely_called_beyond_it(shift: float, limit: float) -> None:
    random = np.random.default_rng(4)

    beyond = [calibration_gap(*calibrated(random, 500, shift)).low > limit for _ in range(100)]

    assert sum(beyond) <= 8


def test_probabilities_that_are_far_off_are_found() -> None:
    gap = calibration_gap(*calibrated(np.random.default_rng(5), 3_000, 0.15))

    assert 0.1 < gap.low < 0.15 < gap.high
    assert gap.value == pytest.approx(0.15, abs=0.02)


def test_weights_count_rows_as_often_as_they_stand_for() -> None:
    predicted, happened, day = calibrated(np.random.default_rng(6), 2_000, 0.0)
    kept = (happened == 1) | (np.arange(2_000) % 2 == 0)  # half of what did not happen was labelled
    weights = np.where(happened[kept] == 1, 1.0, 2.0)

    sampled = calibration_gap(predicted[kept], happened[kept], day[kept])
    weighted = calibration_gap(predicted[kept], happened[kept], day[kept], weights=weights)

    assert sampled.low > 0.05
    assert weighted.low == 0.0
