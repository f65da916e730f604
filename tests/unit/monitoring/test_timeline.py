"""All looks at a model are points of one run, so that MLflow's charts show time."""

from datetime import UTC, datetime, timedelta

import pytest
from mlflow import MlflowClient
from support.triage import quality, signals

from everfit.blocks.settings import Settings
from everfit.tasks.monitoring.timeline import log_timeline, timeline_numbers
from everfit.tasks.triage import VERDICTS, triage
from everfit.tasks.triage.case import TriagePolicy
from everfit.tasks.triage.history import History

START = datetime(2024, 3, 1, tzinfo=UTC)


def test_a_look_adds_quality_what_was_expected_drift_rows_and_the_verdict() -> None:
    seen = signals(quality=quality(value=0.72))

    decision = triage(seen, History(), TriagePolicy())
    numbers = timeline_numbers(seen, decision)

    assert (numbers["quality.value"], numbers["data.rows"], numbers["drift.share"]) == (0.72, 2_100, 0.0)
    assert numbers["quality.expected"] == numbers["quality.value"] + numbers["quality.loss"]
    assert list(VERDICTS)[int(numbers["verdict"])] == decision.verdict == "watch"


@pytest.mark.slow
def test_each_look_is_a_point_of_the_same_run_and_once_only(mlflow_uri: str) -> None:
    client = MlflowClient(tracking_uri=mlflow_uri)
    for look in (0, 1, 1, 2):
        log_timeline(
            client, Settings(), "flights", {"quality.value": 0.7 + look / 100}, START + look * timedelta(hours=1)
        )

    experiment = client.get_experiment_by_name("flights-monitoring")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "by-window"
    points = client.get_metric_history(run.info.run_id, "quality.value")
    assert [point.value for point in points] == [0.7, 0.71, 0.72]
    assert [datetime.fromtimestamp(point.timestamp / 1000, UTC) for point in points] == [
        START + look * timedelta(hours=1) for look in range(3)
    ]
    assert points[2].step - points[0].step == 2
    assert "0 for healthy" in run.data.tags["mlflow.note.content"]
