"""What a spec may name as a metric: which task it serves, which way is better, which values it can take.

Only the facts, so that a spec can be checked without numpy; `everfit.tasks.statistics.metrics` computes them.
"""

import math
from typing import Literal, NamedTuple

TaskKind = Literal["binary", "multiclass", "regression"]


class MetricFacts(NamedTuple):
    """What is known of a metric before any data is seen.

    Attributes:
        name: scikit-learn's word for it.
        tasks: The kinds of task it serves.
        greater_is_better: False for losses and errors.
        lowest: Least value it can take.
        highest: Greatest value it can take.
    """

    name: str
    tasks: frozenset[TaskKind]
    greater_is_better: bool
    lowest: float
    highest: float

    @property
    def span(self) -> float:
        """The widest difference that two models can have in it."""
        return self.highest - self.lowest


def _score(name: str, *tasks: TaskKind, lowest: float = 0.0) -> MetricFacts:
    return MetricFacts(name, frozenset(tasks), True, lowest, 1.0)


def _loss(name: str, *tasks: TaskKind, highest: float = math.inf) -> MetricFacts:
    return MetricFacts(name, frozenset(tasks), False, 0.0, highest)


METRICS: dict[str, MetricFacts] = {
    facts.name: facts
    for facts in (
        _score("roc_auc", "binary"),
        _score("average_precision", "binary"),
        _score("f1", "binary"),
        _score("precision", "binary"),
        _score("recall", "binary"),
        _loss("brier", "binary", highest=1.0),
        _loss("log_loss", "binary", "multiclass"),
        _score("accuracy", "binary", "multiclass"),
        _score("balanced_accuracy", "binary", "multiclass"),
        _score("f1_macro", "multiclass"),
        _score("roc_auc_ovr", "multiclass"),
        _loss("rmse", "regression"),
        _loss("mse", "regression"),
        _loss("mae", "regression"),
        _loss("mape", "regression"),
        _score("r2", "regression", lowest=-math.inf),
    )
}

DEFAULT_METRIC: dict[TaskKind, str] = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}


def metric_facts(name: str, task: TaskKind | None = None) -> MetricFacts:
    """Look a metric up.

    Args:
        name: scikit-learn's word for it, such as `roc_auc`.
        task: The kind of task that it must serve; any if not given.

    Raises:
        ValueError: there is no such metric, or it doesn't serve the task.
    """
    facts = METRICS.get(name)
    allowed = ", ".join(known for known, each in METRICS.items() if task is None or task in each.tasks)
    if facts is None:
        raise ValueError(f"{name!r} is not a metric; allowed: {allowed}")
    if task is not None and task not in facts.tasks:
        raise ValueError(f"{name!r} does not serve {task!r} models; allowed: {allowed}")
    return facts
