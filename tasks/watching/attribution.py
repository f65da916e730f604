"""Drift of explanations: does the model rest its predictions on the same features as when it was trained?"""

from collections.abc import Mapping

from pydantic import Field

from everfit.blocks.errors import DataError
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.records import Record


class ExplanationDrift(Record):
    """How far the shares of the features in the model's predictions have moved."""

    distance: float = Field(description="0 when every feature has the share it had, 1 when none has any of it.")
    threshold: float
    drifted: bool
    changes: dict[str, float] = Field(description="Change of each feature's share, the largest first.")
    words: str


def explanation_drift(
    reference: Mapping[str, float], current: Mapping[str, float], policy: MonitoringPolicy
) -> ExplanationDrift:
    """Compare two attribution profiles by the total variation distance of their shares.

    Args:
        reference: Attribution by feature, such as mean absolute SHAP values or permutation importances, when trained.
        current: The same on the window's rows; only shares count, so both may have different units.
        policy: From which distance on explanations have drifted.

    Raises:
        DataError: a profile is empty, all zero, or has a value that is no number.

    Example:
        >>> explanation_drift({"wind": 3, "rain": 1}, {"wind": 1, "rain": 3}, MonitoringPolicy()).distance
        0.5
    """
    old, new = attribution_shares(reference), attribution_shares(current)
    changes = {name: new.get(name, 0.0) - old.get(name, 0.0) for name in sorted({*old, *new})}
    largest_first = dict(sorted(changes.items(), key=lambda item: -abs(item[1])))
    distance = sum(abs(change) for change in changes.values()) / 2
    some = ", ".join(f"{name} {change:+.0%}" for name, change in list(largest_first.items())[:3])
    return ExplanationDrift(
        distance=distance,
        threshold=policy.explanation_threshold,
        drifted=distance >= policy.explanation_threshold,
        changes=largest_first,
        words=f"explanations moved by {distance:.0%} ({some}); {policy.explanation_threshold:.0%} is drift",
    )


def attribution_shares(attribution: Mapping[str, float]) -> dict[str, float]:
    """Each feature's share of the attribution; negative importances, which are noise about zero, count as none.

    Raises:
        DataError: the attribution is empty, all zero, or has a value that is no number.
    """
    positive = {name: max(0.0, float(value)) for name, value in attribution.items()}
    total = sum(positive.values())
    if not 0 < total < float("inf"):
        raise DataError(f"the attribution {dict(attribution)!r} has no shares; it needs finite values, one above zero")
    return {name: value / total for name, value in positive.items()}
