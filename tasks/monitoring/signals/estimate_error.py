"""How far an estimate of quality without labels is off, by the reference, whose labels are known."""

import math
from typing import Any

import numpy as np

from everfit.blocks.errors import NotEnoughError

_CHUNKS = 10
"""The reference is cut into this many stretches, to see how far an estimate is off."""


def chunk_errors(rows: int, estimate: Any, realise: Any, *, folds: int = 5) -> tuple[int, float]:
    """How far estimates are off on stretches of the reference that they weren't fitted on.

    Returns:
        Rows of a stretch, and the root of the mean squared difference between estimate and truth.
    """
    size = rows // _CHUNKS
    if size < 30:
        raise NotEnoughError(
            f"{rows:,} reference rows are too few to estimate quality from; give {30 * _CHUNKS:,} or more"
        )
    order = np.arange(rows)
    differences = []
    for fold in range(folds):
        held = np.array_split(order, folds)[fold]
        train = np.setdiff1d(order, held)
        for chunk in np.array_split(held, max(1, held.size // size)):
            try:
                differences.append(estimate(train, chunk) - realise(chunk))
            except NotEnoughError:  # a stretch with one class only
                continue
    if len(differences) < 3:
        raise NotEnoughError("the reference has too few rows of some class to see how far estimates are off")
    return size, float(np.sqrt(np.mean(np.square(differences))))


def error_on_rows(chunk_error: float, chunk_rows: int, rows: int) -> float:
    """Return the error for a number of rows: smaller for more, but never below a third, as part of it isn't chance."""
    return chunk_error * max(math.sqrt(chunk_rows / rows), 1 / 3)
