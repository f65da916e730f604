"""Standard errors where rows of one day, or of one entity such as a customer, depend on each other."""

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import DataError
from everfit.tasks.statistics.metrics import metric

_LEAST_DAYS = 4
"""Fewer days say nothing about how much days differ."""
_MOST_BLOCKS, _FEW_BLOCKS, _MANY_ROWS = 30, 12, 200_000
"""Numbers of blocks of days that are left out; of more rows than `_MANY_ROWS` the few."""
_DESIGN_EFFECT = 1.2
"""Rows of one day depend on each other if days have this many times the variance of rows (Kish's design effect)."""


def error_by_days(
    y: npt.ArrayLike, scores: npt.ArrayLike, name: str, days: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float | None:
    """Return the standard error of a metric when rows of one day depend on each other.

    By leaving out one day after the other, or one block of neighbouring days where there are many (the delete-a-group
    jackknife). With few days, the error itself is uncertain, so it is widened as Student's t is.

    Args:
        y: Labels, shape (n,).
        scores: Scores, shape (n,) or (n, classes).
        name: The name of the metric.
        days: The day of each row, shape (n,).
        weights: Weight of each row, shape (n,).

    Returns:
        None with fewer than 4 days, or where the metric has no value without one of them.
    """
    chosen = metric(name)
    labels, values = chosen.check(y, scores)
    row_weights = np.ones(labels.size) if weights is None else np.asarray(weights, dtype=np.float64)
    known, place = np.unique(np.asarray(days), return_inverse=True)
    if len(known) < _LEAST_DAYS:
        return None
    count = min(len(known), _MOST_BLOCKS if labels.size <= _MANY_ROWS else _FEW_BLOCKS)
    blocks = place * count // len(known)
    prepared = None if chosen.own is not None else chosen.prepare(labels, values)
    left_out = np.empty(count)
    for block in range(count):
        kept = blocks != block
        if prepared is not None:
            left_out[block] = prepared(np.where(kept, row_weights, 0.0)[None, :])[0]
            continue
        try:
            left_out[block] = chosen.score(labels[kept], values[kept], None if weights is None else row_weights[kept])
        except DataError:  # the user's own metric fails on these rows
            return None
    if not np.isfinite(left_out).all():  # such as one class only
        return None
    return math.sqrt((count - 1) ** 2 / count * float(np.var(left_out, ddof=1))) * _by_student(count - 1)


def error_by_entities(
    y: npt.ArrayLike, scores: npt.ArrayLike, name: str, entities: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float | None:
    """Return the standard error of a metric when rows of one entity, such as a customer, depend on each other.

    Args:
        y: Labels, shape (n,).
        scores: Scores, shape (n,) or (n, classes).
        name: The name of the metric.
        entities: The entity of each row, shape (n,).
        weights: Weight of each row, shape (n,).

    Returns:
        None with fewer than 4 entities, or where the metric has no value without some of them.
    """
    return error_by_days(y, scores, name, _shuffled(entities), weights)


def _shuffled(entities: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Number entities at random, so that those in one block are no neighbours; shape (n,)."""
    places = np.unique(np.asarray(entities), return_inverse=True)[1]
    return np.asarray(np.random.default_rng(0).permutation(int(places.max(initial=-1)) + 1)[places], dtype=np.int64)


def dependent_error(by_rows: float, by_days: float | None) -> float:
    """Return the error of days where rows of one day depend on each other, otherwise that of rows."""
    return by_rows if by_days is None or by_days**2 <= _DESIGN_EFFECT * by_rows**2 else by_days


def mean_error_by_days(
    values: npt.ArrayLike, days: npt.ArrayLike, weights: npt.ArrayLike | None = None
) -> float | None:
    """Return the standard error of a mean when rows of one day depend on each other; None with fewer than 4 days.

    The distances of rows from the mean are summed by day, because errors of one day don't cancel out.

    Args:
        values: Shape (n,).
        days: The day of each row, or its entity; shape (n,).
        weights: Weight of each row, shape (n,).
    """
    numbers = np.asarray(values, dtype=np.float64)
    weighted = np.ones(numbers.size) if weights is None else np.asarray(weights, dtype=np.float64)
    places = np.unique(np.asarray(days), return_inverse=True)[1]
    mean = np.average(numbers, weights=weighted)
    sums = np.bincount(places, weights=weighted * (numbers - mean))
    if sums.size < _LEAST_DAYS:
        return None
    error = float(np.sqrt(np.square(sums).sum() * sums.size / (sums.size - 1)) / weighted.sum())
    return error * _by_student(sums.size - 1)


def _by_student(degrees: int) -> float:
    from scipy.stats import t

    return float(t.ppf(0.95, degrees)) / NormalDist().inv_cdf(0.95)
