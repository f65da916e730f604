"""Time-ordered folds: each validates on rows later than those it is fitted on."""

from collections.abc import Iterator
from itertools import pairwise

from everfit.blocks.errors import DataError

VALIDATION_SHARE = 0.2
"""Of the training rows, what one fold validates on."""
_MOST_VALIDATED = 0.5


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
