"""The mean worth of a row whose label is mature, where the spec states a business value."""

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from pydantic import FiniteFloat

from everfit.blocks.errors import DataError, NotEnoughError
from everfit.tasks.core.records import Record
from everfit.tasks.statistics.day_errors import dependent_error, mean_error_by_days
from everfit.tasks.statistics.metrics import Floats


class BusinessValue(Record):
    """Mean worth of a row, in the spec's unit."""

    rows: int
    per_row: FiniteFloat
    standard_error: FiniteFloat

    @property
    def interval(self) -> tuple[float, float]:
        """At a confidence of 95 %."""
        half = NormalDist().inv_cdf(0.975) * self.standard_error
        return self.per_row - half, self.per_row + half


def business_value(
    y: npt.ArrayLike,
    scores: npt.ArrayLike,
    worth: Callable[[Floats, Floats], Floats],
    *,
    days: npt.ArrayLike | None = None,
    entities: npt.ArrayLike | None = None,
) -> BusinessValue:
    """Return the mean worth of a row.

    Args:
        y: Labels, shape (n,).
        scores: Scores, shape (n,) or (n, classes).
        worth: From labels and scores to each row's worth, shape (n,), such as a look-up in the spec's value matrix.
        days: The day of each row, shape (n,). Where rows of one day depend on each other, the standard error is that
            of days.
        entities: The entity of each row, such as the customer, shape (n,). Its rows count as a whole.

    Raises:
        NotEnoughError: fewer than 2 rows.
        DataError: a row is worth what is no number.
    """
    values = worth(np.asarray(y, dtype=np.float64), np.asarray(scores, dtype=np.float64))
    if values.size < 2:
        raise NotEnoughError(f"{values.size} rows give no mean worth with an error; give at least 2")
    if not np.isfinite(values).all():
        raise DataError("training.business_value.function gives a worth that is no number; give each row a finite one")
    error = float(values.std(ddof=1) / math.sqrt(values.size))
    if days is not None:
        error = dependent_error(error, mean_error_by_days(values, days))
    if entities is not None:
        error = max(error, mean_error_by_days(values, entities) or 0.0)
    return BusinessValue(rows=values.size, per_row=float(values.mean()), standard_error=error)
