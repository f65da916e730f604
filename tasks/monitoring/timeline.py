"""The numbers of all looks at a model in one MLflow run, so that MLflow's charts draw them over time.

The run of a single look has one point for each metric, which MLflow draws as a bar.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from everfit.blocks.settings import Settings
from everfit.tasks.registry import tracking
from everfit.tasks.triage import VERDICTS, TriageDecision
from everfit.tasks.triage.signals import Signals

if TYPE_CHECKING:
    from mlflow import MlflowClient

_DRAWN: Final = (
    "quality.value",
    "quality.standard_error",
    "estimate.value",
    "drift.share",
    "drift.explanations",
    "data.rows",
    "delays.days",
    "service_health.outlier_share",
)
_NOTE: Final = (
    "Each look at the model's windows is a point of each metric, at the window's end. A step is an hour since "
    "1970; choose *Time (wall)* as the axis of a chart to see dates. The metric `verdict` is {verdicts}."
)


def timeline_numbers(signals: Signals, decision: TriageDecision) -> dict[str, float]:
    """Return what a look adds to the charts over time, by metric.

    Args:
        signals: The evidence of the window.
        decision: The decision about it.
    """
    measured = signals.numbers()
    found: dict[str, float] = {name: measured[name] for name in _DRAWN if name in measured}
    if decision.loss is not None:
        found |= {"quality.expected": decision.loss.expected, "quality.loss": decision.loss.loss}
    return found | {"verdict": float(list(VERDICTS).index(decision.verdict))}


def log_timeline(
    client: "MlflowClient", settings: Settings, model: str, numbers: Mapping[str, float], until: datetime
) -> None:
    """Add a look's numbers to the model's run of all looks; the same numbers again change nothing.

    Args:
        client: MLflow client.
        settings: The settings of the process.
        model: The name of the model.
        numbers: The numbers by metric.
        until: The window's end.
    """
    from mlflow.entities import Metric, RunTag

    _, experiment = tracking.experiments_of(model)
    run_id = tracking.turn_run(client, settings, experiment, tracking.TIMELINE)
    now = int(until.timestamp() * 1000)
    hour = int(until.timestamp() // timedelta(hours=1).total_seconds())
    verdicts = ", ".join(f"{number} for {name}" for number, name in enumerate(VERDICTS))
    client.log_batch(
        run_id,
        metrics=[Metric(name, value, now, hour) for name, value in numbers.items()],
        tags=[RunTag("mlflow.note.content", _NOTE.format(verdicts=verdicts))],
    )
