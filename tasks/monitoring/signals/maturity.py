"""Whether the mature rows that have a label speak for those without one.

Early labels are a biased sample (what is known soon is often what went well, or what went wrong), so only rows that are
older than the maturity are looked at, even if labels of later ones are known.
"""

import numpy as np
import numpy.typing as npt
from pydantic import Field, FiniteFloat

from everfit.tasks.core.records import Record


class Coverage(Record):
    """How many of the mature rows have a label, and whether those are like the others."""

    rows: int = Field(description="Mature rows.")
    labelled: int
    share: FiniteFloat | None = Field(description="None without mature rows.")
    distance: FiniteFloat | None = Field(description="Between the score distributions (Kolmogorov-Smirnov).")
    biased: bool
    summary: str


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
        inclusion: The probability with which each row that has one came to it, for labels from the labelling queue;
            then the labelled ones stand, by its inverse, for all rows, and are compared with these. Shape (labelled,).
        max_distance: From which distance of the score distributions on the labelled ones count as biased, if that
            is significant as well.
        alpha: The level of the two-sample test.
        complete: From which share of labelled rows on the missing ones can't matter much.
    """
    flags = np.asarray(labelled, dtype=np.bool_)
    values = np.asarray(scores, dtype=np.float64)
    columns = values[:, None] if values.ndim == 1 else values
    rows, known = flags.size, int(flags.sum())
    if rows == 0:
        return Coverage(rows=0, labelled=0, share=None, distance=None, biased=False, summary="no row is mature yet")
    share = known / rows
    if known in {0, rows}:
        summary = f"{share:.1%} of {rows:,} mature rows have a label"
        return Coverage(rows=rows, labelled=known, share=share, distance=None, biased=False, summary=summary)
    if inclusion is None:
        tests = [_between_two(column[flags], column[~flags]) for column in columns.T]
        whose = "the others'"
    else:
        weights = 1 / np.asarray(inclusion, dtype=np.float64)
        tests = [_weighted(column, flags, weights) for column in columns.T]
        whose = "all rows', by the probability of being asked for"
    distance, p_value = max(tests)
    biased = share < complete and distance >= max_distance and min(1.0, p_value * len(tests)) < alpha
    summary = f"{share:.1%} of {rows:,} mature rows have a label; their scores are {distance:.2f} away from {whose}"
    return Coverage(
        rows=rows,
        labelled=known,
        share=share,
        distance=distance,
        biased=biased,
        summary=f"{summary}, so they are a biased sample" if biased else summary,
    )


def _between_two(labelled: npt.NDArray[np.float64], others: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Distance and p-value of two samples."""
    from scipy.stats import ks_2samp

    test = ks_2samp(labelled, others, method="asymp")
    return float(test.statistic), float(test.pvalue)


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
