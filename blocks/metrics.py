"""The metrics of a spec: the tasks of each, its better direction, and its range.

This module holds facts only, so that a spec is checked without numpy. `everfit.tasks.statistics.metrics` computes them.
"""

import math
from typing import Literal, NamedTuple, get_args

from everfit.blocks.extensions import METRICS_GROUP, extension_names, is_reference

TaskKind = Literal["binary", "multiclass", "regression"]
ALL_TASKS: frozenset[TaskKind] = frozenset(get_args(TaskKind))

Reads = Literal["order", "class", "probability", "mean", "median"]
"""The part of an answer that a metric depends on: the order of the scores, the predicted class, or the probabilities.

For a number it says which constant answer is best: the mean of the labels, or their median.
"""


class MetricFacts(NamedTuple):
    """The facts about a metric that don't depend on data.

    Attributes:
        name: The name of the metric in scikit-learn.
        tasks: The tasks that it can measure.
        greater_is_better: False for losses and errors.
        lowest: The lowest possible value.
        highest: The highest possible value.
        reads: The part of an answer that it depends on; None if that is not known, as of a user's own metric.
    """

    name: str
    tasks: frozenset[TaskKind]
    greater_is_better: bool
    lowest: float
    highest: float
    reads: Reads | None = None

    @property
    def span(self) -> float:
        """The largest possible difference of two models."""
        return self.highest - self.lowest


def _score(name: str, reads: Reads, *tasks: TaskKind, lowest: float = 0.0) -> MetricFacts:
    return MetricFacts(name, frozenset(tasks), True, lowest, 1.0, reads)


def _loss(name: str, reads: Reads, *tasks: TaskKind, highest: float = math.inf) -> MetricFacts:
    return MetricFacts(name, frozenset(tasks), False, 0.0, highest, reads)


METRICS: dict[str, MetricFacts] = {
    facts.name: facts
    for facts in (
        _score("roc_auc", "order", "binary"),
        _score("average_precision", "order", "binary"),
        _score("f1", "class", "binary"),
        _score("precision", "class", "binary"),
        _score("recall", "class", "binary"),
        _loss("brier", "probability", "binary", highest=1.0),
        _loss("log_loss", "probability", "binary", "multiclass"),
        _score("accuracy", "class", "binary", "multiclass"),
        _score("balanced_accuracy", "class", "binary", "multiclass"),
        _score("f1_macro", "class", "multiclass"),
        _score("roc_auc_ovr", "order", "multiclass"),
        _loss("rmse", "mean", "regression"),
        _loss("mse", "mean", "regression"),
        _loss("mae", "median", "regression"),
        _loss("mape", "median", "regression"),
        _score("r2", "mean", "regression", lowest=-math.inf),
    )
}

DEFAULT_METRIC: dict[TaskKind, str] = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}


def is_own_metric(name: str) -> bool:
    """Whether a name is a user's own metric: a reference, or an entry point that is no metric of everfit."""
    return is_reference(name) or (name not in METRICS and name in extension_names(METRICS_GROUP))


def metric_facts(name: str, task: TaskKind | None = None) -> MetricFacts:
    """Return the facts about a metric of everfit.

    Args:
        name: The name of the metric in scikit-learn, such as `roc_auc`.
        task: The task that it must be able to measure. By default any task will do.

    Raises:
        ValueError: The metric is unknown or belongs to another task.
    """
    facts = METRICS.get(name)
    allowed = ", ".join(known for known, facts in METRICS.items() if task is None or task in facts.tasks)
    if facts is None:
        raise ValueError(
            f"{name!r} is not a metric; known are {allowed}, package.module:function, or the name of an installed "
            f"entry point in the group {METRICS_GROUP}"
        )
    if task is not None and task not in facts.tasks:
        raise ValueError(f"{name!r} is not a metric of {task!r} models; use one of {allowed}")
    return facts
