"""Folds: what candidates are fitted on, and the rows that choose among them; in time order wherever there is one."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import DataError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.statistics.scores import target_values

VALIDATION_SHARE = 0.2
"""Of the training rows, what one fold validates on."""
FEW_ROWS = 10_000
"""Below this the rows of one fold are too few to choose by, and trying more costs little."""
_MOST_VALIDATED = 0.5
_FOLDS_OF_FEW_ROWS = 5

Rows = npt.NDArray[np.intp]


def folds_of(spec: ModelSpec, rows: pd.DataFrame) -> list[tuple[Rows, Rows]]:
    """The folds of training rows: as many as the spec says, or, where it leaves that open, as suit the rows.

    Args:
        spec: The model's spec.
        rows: The training rows, in time order.

    Returns:
        Positions to fit on and positions to validate on, by fold.

    Raises:
        DataError: there are too few rows for each part to have one.
    """
    asked, classes = spec.training.folds, None
    if spec.task != "regression":
        classes = np.asarray(
            pd.factorize(target_values(rows[spec.columns.target], spec.task), sort=True)[0], dtype=np.intp
        )
    if asked is not None:
        return _cut(spec, len(rows), asked, classes)
    for folds in range(_FOLDS_OF_FEW_ROWS if len(rows) < FEW_ROWS else 1, 1, -1):
        if len(rows) < 2 * folds:
            continue
        made = _cut(spec, len(rows), folds, classes)
        if classes is None or all(np.ptp(classes[part]) > 0 for fold in made for part in fold):
            return made  # with a class alone neither a model nor a score would be possible
    return _cut(spec, len(rows), 1, classes)


def _cut(spec: ModelSpec, rows: int, folds: int, classes: Rows | None) -> list[tuple[Rows, Rows]]:
    if spec.columns.event_time is None:
        return list(sampled_folds(rows, folds, classes, spec.training.seed))
    every = np.arange(rows)
    return [(every[fitted], every[validated]) for fitted, validated in time_folds(rows, folds)]


def time_folds(rows: int, folds: int) -> Iterator[tuple[slice, slice]]:
    """Cut rows in time order into folds whose training part grows.

    Args:
        rows: How many there are.
        folds: How many parts at the end are validated on, one after the other; together at most half of the rows.

    Yields:
        The rows to fit on, and the later ones to validate on.

    Raises:
        DataError: there are too few rows for each part to have one.

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
    """Cut rows without an order in time by a seeded draw: each fold validates on a part, and fits on all others.

    Args:
        rows: How many there are.
        folds: How many parts; one fold validates on a fifth.
        classes: Of the rows, each of which goes evenly to all parts; none for a regression.
        seed: Of the draw.

    Yields:
        Positions to fit on, and positions to validate on.

    Raises:
        DataError: there are too few rows for each part to have one.
    """
    parts = folds if folds > 1 else round(1 / VALIDATION_SHARE)
    if rows < 2 * parts:
        raise DataError(f"{rows} rows are too few for {folds} folds; set training.folds lower, or bring more rows")
    drawn = np.random.default_rng(seed).permutation(rows)
    if classes is not None:
        drawn = drawn[np.argsort(classes[drawn], kind="stable")]
    part = np.empty(rows, dtype=np.intp)
    part[drawn] = np.arange(rows) % parts
    for fold in range(folds):
        yield np.flatnonzero(part != fold), np.flatnonzero(part == fold)
