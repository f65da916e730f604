"""Samples for labelling by hand: drawn where something is to be learned, and yet speaking for all rows."""

import numpy as np
import pytest

from everfit.blocks.errors import DataError
from everfit.tasks.predictions.label_sampling import RANDOM, draw_sample

ROWS = 400


@pytest.mark.slow
def test_each_row_is_picked_as_often_as_its_record_says() -> None:
    random = np.random.default_rng(0)
    weights = {"uncertain": random.random(ROWS) ** 6, "outlying": (np.arange(ROWS) < 3).astype(float)}
    shares = {"uncertain": 0.3, "outlying": 0.3}
    worth = random.normal(10, 3, ROWS) + 20 * weights["uncertain"]
    times, said, means, by_chance = np.zeros(ROWS), np.zeros(ROWS), [], np.zeros(ROWS)
    for seed in range(3000):
        result = draw_sample(40, weights, shares, rows=ROWS, seed=seed)
        assert len(result.rows) == len(set(result.rows)) == 40
        times[result.rows] += 1
        said[result.rows] = result.inclusion
        by_chance[result.rows[np.array(result.reasons) == RANDOM]] += 1
        means.append(float((worth[result.rows] / result.inclusion).sum() / ROWS))
    assert said[:3] == pytest.approx(1)  # so few that each of them is looked at
    seen = times > 0
    assert np.abs(times[seen] / 3000 - said[seen]).max() < 0.05
    assert abs(np.mean(means) - worth.mean()) < 4 * np.std(means) / np.sqrt(3000)  # unbiased
    assert by_chance.std() < 1.3 * np.sqrt(by_chance.mean())  # by chance means with one probability


def test_what_nothing_speaks_for_is_left_to_chance() -> None:
    nothing = {"uncertain": np.zeros(ROWS)}
    result = draw_sample(50, nothing, {"uncertain": 0.5}, rows=ROWS, seed=1)
    assert set(result.reasons) == {RANDOM}
    assert result.inclusion == pytest.approx(50 / ROWS)
    assert len(draw_sample(500, nothing, {"uncertain": 0.5}, rows=ROWS, seed=1).rows) == ROWS
    assert len(draw_sample(5, {}, {}, rows=0, seed=1).rows) == 0
    with pytest.raises(DataError, match="leave no random part"):
        draw_sample(5, nothing, {"uncertain": 1.0}, rows=ROWS, seed=1)
