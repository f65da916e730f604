"""Which labels may be scored on, and whether they speak for the rows without one.

Early labels are a biased sample (what is known soon is often what went well, or what went wrong), so a row counts
only when it is older than the maturity, even if its label is known. Nothing here reads a clock.
"""

from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, FiniteFloat

from everfit.tasks.records import Record


class Coverage(Record):
    """How many of the mature rows have a label, and whether those are like the others."""

    rows: int = Field(description="Mature rows.")
    labelled: int
    share: FiniteFloat | None = Field(description="None without mature rows.")
    distance: FiniteFloat | None = Field(description="Between the score distributions (Kolmogorov-Smirnov).")
    biased: bool
    words: str


def mature(
    event_time: "pd.Series[pd.Timestamp]",
    label_time: "pd.Series[pd.Timestamp] | None",
    until: datetime,
    maturity: timedelta,
) -> npt.NDArray[np.bool_]:
    """Which rows' labels may be scored on.

    Args:
        event_time: When each row's event happened, with a time zone, shape (n,).
        label_time: When its label became known (missing where it isn't), or None where that isn't recorded.
        until: The present of this decision; nothing that became known later exists yet.
        maturity: How long after the event labels are complete enough.

    Returns:
        For each row whether it is old enough, and its label was known by `until`, shape (n,).
    """
    moment = pd.Timestamp(until)
    old_enough = (event_time <= moment - maturity) & (event_time < moment)
    known = old_enough if label_time is None else old_enough & label_time.notna() & (label_time <= moment)
    return known.to_numpy(dtype=np.bool_)


def coverage(
    scores: npt.ArrayLike,
    labelled: npt.ArrayLike,
    *,
    inclusion: npt.ArrayLike | None = None,
    max_distance: float = 0.1,
    alpha: float = 0.001,
    complete: float = 0.95,
) -> Coverage:
    """Compare the mature rows that have a label with those that don't.

    Args:
        scores: Scores of all mature rows, shape (n,) or (n, classes).
        labelled: Whether each has a label, shape (n,).
        inclusion: The probability with which each row that has one came to it, where labels were asked for by hand;
            then the labelled ones stand, by its inverse, for all rows, and are compared with these. Shape (labelled,).
        max_distance: From which distance of the score distributions on the labelled ones count as biased, if that
            is significant as well.
        alpha: Of the two-sample test.
        complete: From which share of labelled rows on the missing ones can't matter much.
    """
    flags = np.asarray(labelled, dtype=np.bool_)
    values = np.asarray(scores, dtype=np.float64)
    columns = values[:, None] if values.ndim == 1 else values
    rows, known = flags.size, int(flags.sum())
    if rows == 0:
        return Coverage(rows=0, labelled=0, share=None, distance=None, biased=False, words="no row is mature yet")
    share = known / rows
    if known in {0, rows}:
        words = f"{share:.1%} of {rows:,} mature rows have a label"
        return Coverage(rows=rows, labelled=known, share=share, distance=None, biased=False, words=words)
    if inclusion is None:
        tests = [_between_two(column[flags], column[~flags]) for column in columns.T]
        whose = "the others'"
    else:
        weights = 1 / np.asarray(inclusion, dtype=np.float64)
        tests = [_weighted(column, flags, weights) for column in columns.T]
        whose = "all rows', by the probability of being asked for"
    distance, p_value = max(tests)
    biased = share < complete and distance >= max_distance and min(1.0, p_value * len(tests)) < alpha
    words = f"{share:.1%} of {rows:,} mature rows have a label; their scores are {distance:.2f} away from {whose}"
    return Coverage(
        rows=rows,
        labelled=known,
        share=share,
        distance=distance,
        biased=biased,
        words=f"{words}, so they are a biased sample" if biased else words,
    )


def _between_two(labelled: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Distance and p-value of two samples."""
    from scipy.stats import ks_2samp

    found = ks_2samp(labelled, others, method="asymp")
    return float(found.statistic), float(found.pvalue)


def _weighted(
    values: npt.NDArray[np.float64], flags: npt.NDArray[np.bool_], weights: npt.NDArray[np.float64]
) -> tuple[float, float]:
    """Distance of a weighted sample from all rows, and its p-value with as many rows as the weights leave of it."""
    from scipy.stats import kstwobign

    order = np.argsort(values, kind="stable")
    carried = np.zeros(len(values))
    carried[flags] = weights / weights.sum()
    last = np.append(np.diff(values[order]) > 0, True)  # of equal values
    steps = np.arange(1, len(values) + 1) / len(values)
    distance = float(np.abs(np.cumsum(carried[order]) - steps)[last].max())
    effective = float(weights.sum() ** 2 / (weights**2).sum())
    return distance, float(kstwobign.sf(np.sqrt(effective) * distance))
