"""Try another probability from which a champion acts, where the spec says what right and wrong actions are worth.

Its answers stay as they are. So a metric such as the AUC sees nothing of it, and it is judged by the business value.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import EverfitError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.evaluation.model_comparison import compare_rows
from everfit.tasks.evaluation.scored_rows import ScoredRows
from everfit.tasks.gate.remedies import ValueLead
from everfit.tasks.statistics.business_value import WORTH, best_threshold, worth_of
from everfit.tasks.statistics.corrections import LEAST_OF_CLASS, LEAST_ROWS
from everfit.tasks.statistics.newest_parts import Gain, agreeing_parts

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class ActedPart(NamedTuple):
    """One part of the rows.

    Attributes:
        rows: Which rows; shape (all rows,).
        threshold: As it was fitted on the rows before.
    """

    rows: Mask
    threshold: float


def new_threshold(spec: ModelSpec, truth: Floats, scores: Floats, old: float) -> float:
    """Return the probability from which on acting is worth most; the old one if the rows can't tell it.

    Args:
        spec: Its business value.
        truth: 0 or 1; shape (rows,).
        scores: The scores of a model that has not been trained on the rows; shape (rows,).
        old: The probability from which on the champion acts.
    """
    policy = spec.training.business_value
    assert policy is not None  # noqa: S101 - `acts_by_value` is true
    counts = np.bincount(truth.astype(np.int64), minlength=2)
    if truth.size < LEAST_ROWS or counts.min() < LEAST_OF_CLASS:
        return old
    return best_threshold(policy, truth, scores)


def acts_by_value(spec: ModelSpec) -> bool:
    """Return whether a spec asks for another threshold, and states the worth of what it decides."""
    policy = spec.training.business_value
    by_outcome = spec.task == "binary" and policy is not None and policy.function is None
    return by_outcome and "threshold" in spec.retraining.tried_remedies


def value_lead(
    spec: ModelSpec, scored: ScoredRows, champion: str, old: float, parts: Sequence[ActedPart]
) -> ValueLead | None:
    """Return how far the new threshold is ahead of the old one in business value, on the newest parts that agree.

    Args:
        spec: Its business value.
        scored: The rows that the champion has not seen.
        champion: Name of its scores.
        old: The probability from which on it acts.
        parts: The parts, the oldest first.

    Returns:
        None if the rows are too few to tell.
    """
    policy = spec.training.business_value
    assert policy is not None  # noqa: S101 - `acts_by_value` is true
    scores = scored.scores[champion]
    before = worth_of(policy, old)(scored.truth, scores)
    after = before.copy()
    for part in parts:
        after[part.rows] = worth_of(policy, part.threshold)(scored.truth[part.rows], scores[part.rows])

    def gain(newest: int, oldest: int) -> Gain | None:
        rows = np.logical_or.reduce([part.rows for part in parts[len(parts) - oldest : len(parts) - newest]])
        try:
            paired = compare_rows(spec, scored.subset(rows), WORTH, after[rows], before[rows])
        except EverfitError:
            return None
        return Gain(paired.difference, paired.deviation, paired.degrees_of_freedom or np.inf)

    agreeing = agreeing_parts(len(parts), gain)
    lead = gain(0, agreeing)
    if lead is None:
        return None
    rows = np.logical_or.reduce([part.rows for part in parts[len(parts) - agreeing :]])
    return ValueLead(
        before=float(before[rows].mean()),
        after=float(after[rows].mean()),
        error=lead.error,
        degrees_of_freedom=lead.freedom if np.isfinite(lead.freedom) else None,
        unit=policy.unit,
    )
