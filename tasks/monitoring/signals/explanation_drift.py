"""Drift of explanations: does the model rest its predictions on the same features as when it was trained?

A sample of the hold-out's rows and one of the window's rows are explained by the same method, Shapley values. They need
no labels, and differ only because the rows differ.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from everfit.blocks.errors import DataError, NotEnoughError
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.core.records import Record
from everfit.tasks.evaluation.explanations import sampled
from everfit.tasks.evaluation.influence import most_influential
from everfit.tasks.statistics.profile import reference_sample

ROWS = 200
"""Explained of either side."""

_ORDERS = 4


class ExplanationDrift(Record):
    """How far the shares of the features in the model's predictions have moved."""

    distance: float = Field(description="0 when every feature has the share it had, 1 when none has any of it.")
    threshold: float
    drifted: bool
    changes: dict[str, float] = Field(description="Change of each feature's share, the largest first.")
    summary: str


def explanation_drift(
    reference: Mapping[str, float], current: Mapping[str, float], policy: MonitoringPolicy, left_out: int = 0
) -> ExplanationDrift:
    """Compare two attribution profiles by the total variation distance of their shares.

    Args:
        reference: Attribution by feature, such as mean absolute SHAP values or permutation importances, when trained.
        current: The same on the window's rows; only shares count, so both may have different units.
        policy: From which distance on explanations have drifted.
        left_out: How many features move the answers so little that their attribution was not measured.

    Raises:
        NotEnoughError: a profile is all zero.
        DataError: a profile is empty, or has a value that is no number.

    Example:
        >>> explanation_drift({"wind": 3, "rain": 1}, {"wind": 1, "rain": 3}, MonitoringPolicy()).distance
        0.5
    """
    old, new = attribution_shares(reference), attribution_shares(current)
    changes = {name: new.get(name, 0.0) - old.get(name, 0.0) for name in sorted({*old, *new})}
    largest_first = dict(sorted(changes.items(), key=lambda item: -abs(item[1])))
    threshold = policy.explanation_drift_threshold
    distance = sum(abs(change) for change in changes.values()) / 2
    some = ", ".join(f"{name} {change:+.0%}" for name, change in list(largest_first.items())[:3])
    beside = f" (without the {left_out:,} features that move the predictions least)" if left_out else ""
    return ExplanationDrift(
        distance=distance,
        threshold=threshold,
        drifted=distance >= threshold,
        changes=largest_first,
        summary=f"explanations moved by {distance:.0%} ({some}){beside}; {threshold:.0%} is drift",
    )


def attributions(
    ask: Callable[[pd.DataFrame], npt.NDArray[np.float64]], rows: pd.DataFrame, others: pd.DataFrame, seed: int = 0
) -> dict[str, float]:
    """How much each feature moves the answers: mean absolute Shapley values of a sample.

    If there are many features, only those that move the answers of the reference most are compared.

    Args:
        ask: Returns the model's predictions for rows.
        rows: The features; shape (any, features).
        others: Rows of the reference, to take the other values from; shape (any, features).
        seed: The seed of the sample.

    Raises:
        NotEnoughError: there are too few rows.
    """
    if min(len(rows), len(others)) < ROWS:
        raise NotEnoughError(f"{min(len(rows), len(others)):,} rows are too few to explain; {ROWS} are needed")
    sample, others = reference_sample(rows, ROWS, seed), others.reset_index(drop=True)
    values = sampled(ask, sample, others, seed, _ORDERS, most_influential(ask, others, seed))
    return {str(name): float(value) for name, value in values.abs().mean().items()}


def attribution_shares(attribution: Mapping[str, float]) -> dict[str, float]:
    """Each feature's share of the attribution; negative importances, which are noise about zero, count as none.

    Raises:
        NotEnoughError: no feature moves the answers at all.
        DataError: the attribution is empty, or has a value that is no number.
    """
    positive = {name: max(0.0, float(value)) for name, value in attribution.items()}
    total = sum(positive.values())
    if attribution and total == 0:
        raise NotEnoughError("no feature moves the answers at all, so there are no shares to compare")
    if not 0 < total < float("inf"):
        raise DataError(f"the attribution {dict(attribution)!r} has no shares; it needs finite values, one above zero")
    return {name: value / total for name, value in positive.items()}
