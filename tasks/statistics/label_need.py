"""How many labels tell a metric to a given half-width, and of which rows. Pure.

Quality of all rows is estimated as what the model's calibrated answers promise, corrected by the labelled rows, each by
the inverse of its probability to be asked for. The answers cost no labels, so only the spread of the outcomes around
them is left. The fewest labels are needed if a row's probability is proportional to this spread, with
a floor (A. N. Angelopoulos et al., "PPI++", 2023; T. Zrnic and E. Candes, "Active statistical inference", ICML 2024).
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from everfit.tasks.statistics.metrics import metric

Floats = npt.NDArray[np.float64]

FLOOR = 0.1
"""This share of the labels is spread over all rows, so that none has no chance, whatever the model promises."""
_CELLS = 400
_STEP = 1e-4


@dataclass(frozen=True)
class LabelNeed:
    """How many labels are needed, and of which rows.

    Attributes:
        rows: Number of labels.
        weights: How much a label of each row tells; shape (candidates,).
        half_width: Half of the interval that is reached.
    """

    rows: int
    weights: Floats
    half_width: float


def outcome_spread(name: str, chances: npt.ArrayLike, scores: npt.ArrayLike) -> Floats:
    """Return by how much the outcome of each row moves the metric around what its answer predicts.

    It is the standard deviation of the row's influence on the metric, over the outcomes that it may have.

    Args:
        name: The name of a metric of classes.
        chances: The probability of each class, shape (n, classes).
        scores: The model's scores, shape (n,) or (n, classes).
    """
    probabilities, values = np.asarray(chances, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    rows, classes = probabilities.shape
    # Rows with like answers have like influence, so some of them stand for all.
    likely = probabilities.argmax(axis=1) if classes > 2 else np.ones(rows, dtype=np.int64)
    order = np.lexsort([probabilities[np.arange(rows), likely], likely])
    cells = np.array_split(order, min(rows, max(20, _CELLS // classes)))
    middle = np.array([cell[len(cell) // 2] for cell in cells])
    share = np.array([len(cell) for cell in cells]) / rows
    chance = probabilities[middle]
    labels = np.repeat(np.arange(classes, dtype=np.float64), len(cells))
    points = np.concatenate([values[middle]] * classes)
    weights = (share[:, None] * chance).T.ravel()
    measure = metric(name)
    there = weights > 0
    checked = measure.check(labels[there], points[there])
    # Each row of weights is all of them, with a little more of one cell.
    moved = np.vstack([weights[there], (1 - _STEP) * weights[there] + _STEP * np.eye(int(there.sum()))])
    values_of = measure.prepare(*checked)(moved)
    influence = np.zeros(len(weights))
    influence[there] = np.nan_to_num((values_of[1:] - values_of[0]) / _STEP)
    by_class = influence.reshape(classes, len(cells)).T
    mean = (chance * by_class).sum(axis=1, keepdims=True)
    spread = np.sqrt((chance * (by_class - mean) ** 2).sum(axis=1))
    found = np.empty(rows)
    for cell, value in zip(cells, spread, strict=True):
        found[cell] = value
    return found


def label_need(spread: npt.ArrayLike, half_width: float, *, confidence: float = 0.95) -> LabelNeed:
    """Return how many labels are needed for a half-width.

    Args:
        spread: By how much the outcome of each row moves the estimate; shape (n,).
        half_width: Half of the interval, in the metric's unit.
        confidence: The confidence of the interval.
    """
    own = np.asarray(spread, dtype=np.float64)
    quantile = NormalDist().inv_cdf((1 + confidence) / 2)

    def reached(count: int) -> float:
        return quantile * float(np.sqrt(_variance(own, count)))

    low, high = 1, len(own)
    while low < high:
        middle = (low + high) // 2
        if reached(middle) <= half_width:
            high = middle
        else:
            low = middle + 1
    return LabelNeed(low, own, reached(low))


def _variance(spread: Floats, count: int) -> float:
    """Return the variance of the estimate with this many labels, drawn by the spread with a floor."""
    rows, total = len(spread), float(spread.sum())
    if total <= 0:
        return 0.0
    probability = np.minimum(1.0, count * ((1 - FLOOR) * spread / total + FLOOR / rows))
    return float((spread**2 * (1 - probability) / probability).sum()) / rows**2
