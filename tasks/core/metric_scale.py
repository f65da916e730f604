"""The direction and range of a user's own metric, as evidence keeps them: a decision doesn't import the metric."""

import math

from everfit.blocks.metrics import ALL_TASKS, MetricFacts, metric_facts
from everfit.tasks.core.records import Record


class MetricScale(Record):
    """The direction and range of a metric.

    Attributes:
        greater_is_better: False for losses and errors.
        lowest: The least value that it can take; None if there is no least value.
        highest: The greatest value that it can take; None if there is no greatest value.
    """

    greater_is_better: bool = True
    lowest: float | None = None
    highest: float | None = None


def facts_of(name: str, scale: MetricScale | None) -> MetricFacts:
    """Return the facts of a metric.

    Args:
        name: The name of the metric.
        scale: The scale of a user's own metric; None for a metric of everfit.

    Raises:
        ValueError: everfit has no such metric, and there is no scale.
    """
    if scale is None:
        return metric_facts(name)
    lowest = -math.inf if scale.lowest is None else scale.lowest
    highest = math.inf if scale.highest is None else scale.highest
    return MetricFacts(name, ALL_TASKS, scale.greater_is_better, lowest, highest)


def scale_of(facts: MetricFacts) -> MetricScale:
    """Return what evidence keeps of a metric's facts."""
    return MetricScale(
        greater_is_better=facts.greater_is_better,
        lowest=facts.lowest if math.isfinite(facts.lowest) else None,
        highest=facts.highest if math.isfinite(facts.highest) else None,
    )
