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


def folds_of(spec: ModelSpec, rows: pd.DataFrame, count: int | None = None) -> list[tuple[Rows, Rows]]:
    """Split training rows into as many folds as the spec says, or by default as many as suit the number of rows.

    Each part of each fold has rows of two classes. If a class is too rare for that, there is one fold, and its
    validation part begins where both parts have some.

    Args:
        spec: Spec of the model.
        rows: Training rows in time order.
        count: Number of folds instead of the spec's.

    Returns:
        Positions to fit on and positions to validate on, for each fold.

    Raises:
        DataError: If a part would have no rows, or rows of one class alone.
    """
    count, classes = count or spec.training.folds, None
    if spec.task != "regression":
        classes = np.asarray(
            pd.factorize(target_values(rows[spec.columns.target], spec.task), sort=True)[0], dtype=np.intp
        )
    for folds in [count] if count else range(_FOLDS_OF_FEW_ROWS if len(rows) < FEW_ROWS else 1, 0, -1):
        if len(rows) < 2 * folds and not count and folds > 1:
            continue
        split = _cut(spec, len(rows), folds, classes)
        if classes is None or all(np.ptp(classes[part]) > 0 for fold in split for part in fold):
            return split  # a part with a single class would allow neither a model nor a score
    if count and count > 1:
        raise DataError(
            f"{spec.name}: with training.folds {count} a fold would have {spec.columns.target!r} of one class alone; "
            "set it lower, or leave it out"
        )
    assert classes is not None  # noqa: S101 - a split without classes was returned
    return [_around_rare_class(spec, rows[spec.columns.target], classes)]


def _around_rare_class(spec: ModelSpec, target: pd.Series, classes: Rows) -> tuple[Rows, Rows]:
    """Cut rows into two parts, each with two classes, with the usual share of the rare rows to validate on.

    Raises:
        DataError: If that is impossible.
    """
    counts = np.bincount(classes)
    validated = np.zeros(len(classes), dtype=np.bool_)
    if spec.columns.event_time is None:
        drawn = np.random.default_rng(spec.training.seed).permutation(len(classes))
        for number, rows in enumerate(counts.tolist()):
            if rows > 1:
                validated[drawn[classes[drawn] == number][: max(1, round(VALIDATION_SHARE * rows))]] = True
    else:
        rare = np.flatnonzero(classes != counts.argmax())
        earliest = int(np.flatnonzero(classes != classes[0]).min(initial=len(classes))) + 1
        latest = int(np.flatnonzero(classes != classes[-1]).max(initial=0))
        usual = min(
            [round((1 - VALIDATION_SHARE) * len(classes)), *rare[int((1 - VALIDATION_SHARE) * len(rare)) :][:1]]
        )
        if earliest <= latest:
            validated[int(np.clip(usual, earliest, latest)) :] = True
    if all(part.any() and np.ptp(classes[part]) > 0 for part in (validated, ~validated)):
        return np.flatnonzero(~validated), np.flatnonzero(validated)
    shown = ", ".join(f"{value!r} in {rows:,}" for value, rows in target.value_counts().head(3).items())
    raise DataError(
        f"{spec.name}: {spec.columns.target!r} is {shown} of {len(classes):,} training rows; candidates are fitted on "
        "some of these rows and compared on others, and both need two classes: wait for more rows of the rare class, "
        "or set a longer training.window"
    )


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
        raise _too_few(rows, folds)
    for start, stop in pairwise(cuts):
        yield slice(0, start), slice(start, stop)


def _too_few(rows: int, folds: int) -> DataError:
    if folds == 1:
        return DataError(
            f"{rows:,} training rows are too few to fit candidates on some of them and compare on others; provide more"
        )
    return DataError(f"{rows:,} rows are too few for {folds} folds; set training.folds lower, or provide more rows")


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
        raise _too_few(rows, folds)
    drawn = np.random.default_rng(seed).permutation(rows)
    if classes is not None:
        drawn = drawn[np.argsort(classes[drawn], kind="stable")]
    part = np.empty(rows, dtype=np.intp)
    part[drawn] = np.arange(rows) % parts
    for fold in range(folds):
        yield np.flatnonzero(part != fold), np.flatnonzero(part == fold)
