"""Split training rows into folds to fit on and to validate on, in time order if the rows have event times."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import DataError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.statistics.scores import target_values

VALIDATION_SHARE = 0.2
"""Share of the training rows that one fold validates on."""
FEW_ROWS = 10_000
"""With fewer rows, one fold is too small to choose by, and more folds cost little time."""
_MOST_VALIDATED = 0.5
_FOLDS_OF_FEW_ROWS = 5

Rows = npt.NDArray[np.intp]


def folds_of(spec: ModelSpec, rows: pd.DataFrame) -> list[tuple[Rows, Rows]]:
    """Split training rows into as many folds as the spec says, or by default as many as suit the number of rows.

    Args:
        spec: Spec of the model.
        rows: Training rows in time order.

    Returns:
        Positions to fit on and positions to validate on, for each fold.

    Raises:
        DataError: If a part would have no rows.
    """
    count, classes = spec.training.folds, None
    if spec.task != "regression":
        classes = np.asarray(
            pd.factorize(target_values(rows[spec.columns.target], spec.task), sort=True)[0], dtype=np.intp
        )
    if count is not None:
        return _cut(spec, len(rows), count, classes)
    for folds in range(_FOLDS_OF_FEW_ROWS if len(rows) < FEW_ROWS else 1, 1, -1):
        if len(rows) < 2 * folds:
            continue
        split = _cut(spec, len(rows), folds, classes)
        if classes is None or all(np.ptp(classes[part]) > 0 for fold in split for part in fold):
            return split  # a part with a single class would allow neither a model nor a score
    return _cut(spec, len(rows), 1, classes)


def _cut(spec: ModelSpec, rows: int, folds: int, classes: Rows | None) -> list[tuple[Rows, Rows]]:
    if spec.columns.event_time is None:
        return list(sampled_folds(rows, folds, classes, spec.training.seed))
    every = np.arange(rows)
    return [(every[fitted], every[validated]) for fitted, validated in time_folds(rows, folds)]


def time_folds(rows: int, folds: int) -> Iterator[tuple[slice, slice]]:
    """Cut rows in time order into folds whose training part grows.

    Args:
        rows: Number of rows.
        folds: Number of consecutive validation parts at the end; together they hold at most half of the rows.

    Yields:
        The rows to fit on, and the later rows to validate on.

    Raises:
        DataError: If a part would have no rows.

    Example:
        >>> [(fitted.stop, scored.start, scored.stop) for fitted, scored in time_folds(100, 2)]
        [(60, 60, 80), (80, 80, 100)]
    """
    share = min(_MOST_VALIDATED, VALIDATION_SHARE * folds)
    cuts = [rows - round(rows * share * (folds - fold) / folds) for fold in range(folds)] + [rows]
    if cuts[0] < 1 or any(start >= stop for start, stop in pairwise(cuts)):
        raise DataError(f"{rows} rows are too few for {folds} folds in time order; set training.folds lower")
    for start, stop in pairwise(cuts):
        yield slice(0, start), slice(start, stop)


def sampled_folds(rows: int, folds: int, classes: Rows | None, seed: int) -> Iterator[tuple[Rows, Rows]]:
    """Cut rows without event times into random folds: each validates on one part and fits on the others.

    Args:
        rows: Number of rows.
        folds: Number of parts; a single fold validates on a fifth.
        classes: Class of each row, which is spread evenly over the parts, or None for a regression; shape (rows,).
        seed: Seed of the random order.

    Yields:
        Positions to fit on and positions to validate on.

    Raises:
        DataError: If a part would have no rows.
    """
    parts = folds if folds > 1 else round(1 / VALIDATION_SHARE)
    if rows < 2 * parts:
        raise DataError(f"{rows} rows are too few for {folds} folds; set training.folds lower, or provide more rows")
    drawn = np.random.default_rng(seed).permutation(rows)
    if classes is not None:
        drawn = drawn[np.argsort(classes[drawn], kind="stable")]
    part = np.empty(rows, dtype=np.intp)
    part[drawn] = np.arange(rows) % parts
    for fold in range(folds):
        yield np.flatnonzero(part != fold), np.flatnonzero(part == fold)
