"""A run in MLflow is open only while something logs to it, also if a process is killed."""

from mlflow import MlflowClient

from everfit.blocks.settings import Settings
from everfit.tasks.registry.tracking import TURN_TAG, turn_run


def test_a_run_ends_at_once_and_what_a_killed_process_left_open_is_ended(mlflow_uri: str) -> None:
    client = MlflowClient(tracking_uri=mlflow_uri)
    first = turn_run(client, Settings(), "flights", "turn-1")
    experiment = client.get_run(first).info.experiment_id
    left = client.create_run(experiment, tags={TURN_TAG: "turn-2"}).info.run_id
    foreign = client.create_run(experiment).info.run_id

    interrupted = client.create_run(experiment, tags={TURN_TAG: "turn-4"}).info.run_id

    assert turn_run(client, Settings(), "flights", "turn-4") == interrupted
    again = turn_run(client, Settings(), "flights", "turn-1")
    third = turn_run(client, Settings(), "flights", "turn-3")
    client.log_text(third, "logged after its end", "note.txt")

    assert again == first
    runs = first, left, foreign, third, interrupted
    statuses = [client.get_run(run_id).info.status for run_id in runs]
    assert statuses == ["FINISHED", "KILLED", "RUNNING", "FINISHED", "FINISHED"]
