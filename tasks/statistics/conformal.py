"""Conformal prediction: intervals and sets that have the true value as often as promised. Pure.

Split conformal prediction takes the bound from the scores of rows that the model hasn't seen: if new rows are
exchangeable with them, an interval has the true value with at least the promised probability, whatever the model
(V. Vovk, A. Gammerman and G. Shafer, "Algorithmic Learning in a Random World", 2005; J. Lei, M. G'Sell, A. Rinaldo,
R. J. Tibshirani and L. Wasserman, "Distribution-Free Predictive Inference for Regression", Journal of the American
Statistical Association 113 (2018)).

The score of a regression is the error over the usual size of errors at answers like this one, so intervals are wider
where errors are larger. The score of a classification is 0 where the most probable class is the true one, and else one
minus the probability of the true class: a set is never empty, and nearly as small as can be (M. Sadinle, J. Lei and L.
Wasserman, "Least Ambiguous Set-Valued Classifiers With Bounded Error Levels", Journal of the American Statistical
Association 114 (2019)). The adaptive sets of Y. Romano, M. Sesia and E. Candès ("Classification with Valid and Adaptive
Coverage", NeurIPS 2020) are not used: without a random draw for each answer, every set of two classes has both.

The level adapts to what happened (I. Gibbs and E. Candès, "Adaptive Conformal Inference Under Distribution Shift",
NeurIPS 2021): if more answers than promised were wrong, fewer may be wrong from now on.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

NEWEST = 2_000
"""Scores of this many of the newest rows give the adapted bound."""
_STEP, _LONGEST_STEP = 0.005, 0.25
"""The step of Gibbs and Candès for one row, and the longest of one look, which would oscillate beyond."""
_MOST = 2.0
"""The level allows at most this many times the promised misses, so that quiet times don't delay the answer to drift."""
_ROWS_OF_A_PART, _PARTS = 50, 10


def conformal_bound(scores: Floats, miss_rate: float, weights: Floats | None = None) -> float | None:
    """Return the bound that a new row's score exceeds with at most a probability.

    It is the score of rank `ceil((n + 1) (1 - miss_rate))` of `n`, which is exact in finite samples.

    Args:
        scores: The scores of rows that the model hasn't seen, the larger the stranger; shape (n,).
        miss_rate: The probability.
        weights: Weight of each row, shape (n,); the new row has their mean.

    Returns:
        None if there are too few rows for a probability so small.

    Example:
        >>> conformal_bound(np.arange(1.0, 20.0), 0.1)
        18.0
        >>> conformal_bound(np.arange(1.0, 9.0), 0.1) is None
        True
    """
    if scores.size == 0:
        return None
    own = np.ones(scores.size) if weights is None else weights / weights.mean()
    order = np.argsort(scores, kind="stable")
    place = int(np.searchsorted(np.cumsum(own[order]), (scores.size + 1) * (1 - miss_rate) - 1e-9))
    return float(scores[order[place]]) if place < scores.size else None


def adapted_miss_rate(miss_rate: float, missed: float, rows: int, promised: float) -> float:
    """Return the level after some rows.

    Args:
        miss_rate: The level before: the share that may be wrong.
        missed: The share of the rows that were wrong by the bound before.
        rows: Number of rows.
        promised: The share that must be right in the long run.
    """
    step = min(_STEP * rows, _LONGEST_STEP)
    target = 1 - promised
    return min(max(miss_rate + step * (target - missed), 0.0), _MOST * target)


def smallest_miss_rate(rows: int) -> float:
    """Return the smallest level for which this many rows give a bound."""
    return 1 / (rows + 1)


def error_sizes(answers: Floats, errors: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return parts of the answers with the usual size of the absolute errors in each.

    Args:
        answers: The answers of a regression, shape (n,).
        errors: Absolute errors, shape (n,).

    Returns:
        The edges between the parts, and the size in each part; there is one size more than edges.
    """
    parts = max(1, min(_PARTS, answers.size // _ROWS_OF_A_PART))
    edges = np.unique(np.quantile(answers, np.linspace(0, 1, parts + 1)[1:-1])) if parts > 1 else np.zeros(0)
    places = np.searchsorted(edges, answers, side="right")
    whole = float(np.mean(errors)) if errors.size else 0.0
    by_part = [errors[places == part] for part in range(edges.size + 1)]
    sizes = [float(np.mean(own)) if own.size else whole for own in by_part]
    # Where a model was always right nothing says how wrong it can be, so no part has the size 0.
    floor = max(0.05 * whole, np.finfo(np.float64).tiny) if whole else 1.0
    return tuple(edges.tolist()), tuple(max(size, floor) for size in sizes)


def scaled_errors(answers: Floats, errors: Floats, edges: tuple[float, ...], scales: tuple[float, ...]) -> Floats:
    """Return the score of each row of a regression: the absolute error over the size of errors there; shape (n,)."""
    places = np.searchsorted(np.asarray(edges, dtype=np.float64), answers, side="right")
    return np.asarray(errors / np.asarray(scales)[places], dtype=np.float64)


def class_scores(probabilities: Floats, truth: npt.NDArray[np.int64]) -> Floats:
    """Return the score of each row of a classification; shape (n,).

    Args:
        probabilities: The probability of each class, shape (n, classes).
        truth: Place of the true class; negative for a class that the model doesn't know.
    """
    rows = np.arange(len(truth))
    own = np.where(truth >= 0, probabilities[rows, truth.clip(0)], 0.0)
    return np.asarray(np.where(probabilities.argmax(axis=1) == truth, 0.0, 1 - own), dtype=np.float64)
