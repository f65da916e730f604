"""Predictions for a spool, and the drain of one."""

from typing import Any

from everfit.infra.serving.drain import Drain
from everfit.infra.serving.spool import Spool
from everfit.tasks.models.input_column import InputColumn
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.predictions import prediction_log
from everfit.tasks.storage.tables import Table

INPUTS = InputSchema(
    task="binary",
    features=(InputColumn(name="x", kind="double", nullable=True), InputColumn(name="city", kind="string")),
    key=(InputColumn(name="flight", kind="long"),),
    event_time="at",
)
KINDS = prediction_log.column_kinds(INPUTS)
OCTOBER = 1_380_585_600_000_000


def batch(first: int, count: int, version: int = 1) -> dict[str, list[Any]]:
    """Make columns of predictions whose ids are `id-FIRST` and following."""
    rows = range(first, first + count)
    return {
        "x": [None if row % 7 == 0 else row / 2 for row in rows],
        "city": ["Oslo"] * count,
        "flight": [None if row % 5 == 0 else row for row in rows],
        "at": [OCTOBER + row * 3_600_000_000 for row in rows],
        "_prediction_id": [f"id-{row}" for row in rows],
        "_predicted_at": [OCTOBER] * count,
        "_prediction": ["1"] * count,
        "_score": [0.75] * count,
        "_probabilities": [None] * count,
        "_model_version": [version] * count,
        "_arm": ["champion"] * count,
        "_latency_ms": [1.0] * count,
        "_outlier": [None] * count,
        "_client": ["test"] * count,
        "_flag": [None] * count,
    }


def drain_of(spool: Spool, log: Table) -> Drain:
    """Return a drain that is not started."""
    return Drain(spool, log, ["flight"], "at")


def logged(log: Table) -> list[str]:
    """Return the ids of the log's predictions, each as often as it is there."""
    return sorted(prediction_log.read(log, None, "at")["_prediction_id"])
