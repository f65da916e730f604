"""How many labels tell a metric, tried on simulated rows: the promise is kept, with fewer labels than at random."""

import numpy as np
import numpy.typing as npt
import pytest

from everfit.tasks.predictions.label_sampling import ESTIMATE, draw_sample
from everfit.tasks.statistics.assisted_metric import assisted
from everfit.tasks.statistics.label_need import FLOOR, label_need, outcome_spread
from everfit.tasks.statistics.metrics import metric

ROWS, HALF, LIVES = 6_000, 0.02, 20

Floats = npt.NDArray[np.float64]


def world(seed: int, off: float = 0.0) -> tuple[Floats, Floats, Floats]:
    """Scores, chances and labels; the truth may be less sure than the chances say."""
    random = np.random.default_rng(seed)
    score = 1 / (1 + np.exp(-random.normal(-1, 2.0, ROWS)))
    truth = random.random(ROWS) < (1 - off) * score + off * 0.5
    return score, np.column_stack([1 - score, score]), truth.astype(float)


def expected(name: str, chances: Floats, scores: Floats, weights: Floats) -> float:
    labels = np.repeat([0.0, 1.0], len(scores))
    return metric(name).score(labels, np.tile(scores, 2), (chances * weights[:, None]).T.ravel())


def error_of(name: str, off: float, seed: int) -> tuple[float, int]:
    """The error of the estimate in one life, and the number of labels that it took."""
    measure = metric(name)
    score, chances, truth = world(seed, off)
    need = label_need(outcome_spread(name, chances, score), HALF)
    sample = draw_sample(need.rows, {ESTIMATE: need.weights}, {ESTIMATE: 1 - FLOOR}, rows=ROWS, seed=seed)
    own, said, labels = score[sample.rows], chances[sample.rows], truth[sample.rows]
    weights = 1 / sample.inclusion
    best = assisted(
        lambda at: measure.score(labels[at], own[at], weights[at]),
        lambda at: expected(name, said[at], own[at], weights[at]),
        expected(name, chances, score, np.ones(ROWS)),
        len(labels),
        seed=seed,
    )
    assert best is not None
    return best.value - measure.score(truth, score), need.rows


@pytest.mark.slow
@pytest.mark.parametrize("name", ["accuracy", "roc_auc", "brier"])
def test_the_promised_half_width_is_kept(name: str) -> None:
    lives = [error_of(name, 0.0, seed) for seed in range(LIVES)]
    errors = np.array([error for error, _ in lives])

    assert (np.abs(errors) <= HALF).mean() >= 0.85  # of 95 %, in 20 lives
    assert abs(errors.mean()) < HALF / 3
    assert lives[0][1] < ROWS / 3


@pytest.mark.slow
def test_answers_that_promise_too_much_do_not_move_the_estimate() -> None:
    errors = [error_of("accuracy", 0.4, seed)[0] for seed in range(LIVES)]

    assert abs(np.mean(errors)) < HALF / 3  # the answers alone would be off by .13


def test_fewer_labels_are_needed_where_the_spread_is_uneven() -> None:
    score, chances, _ = world(1)
    own = outcome_spread("accuracy", chances, score)
    assert label_need(own, HALF).rows < 0.95 * label_need(np.full(ROWS, np.sqrt((own**2).mean())), HALF).rows
    assert label_need(own, HALF / 2).rows > 2 * label_need(own, HALF).rows
    assert label_need(np.zeros(ROWS), HALF).rows == 1
    assert label_need(own, 1e-9).rows == ROWS  # all of them


def test_classes_are_three() -> None:
    chances = np.random.default_rng(0).dirichlet([1, 1, 1], 2_000)
    spread = outcome_spread("accuracy", chances, chances)
    sure = chances.max(axis=1)
    assert np.corrcoef(spread, np.sqrt(sure * (1 - sure)))[0, 1] > 0.95
