"""The files of a run are read where they are kept."""

from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from everfit.tasks.models.run_files import download_run_files, run_files


@pytest.fixture
def client(mlflow_uri: str) -> MlflowClient:
    return MlflowClient(tracking_uri=mlflow_uri)


@pytest.fixture
def run_id(client: MlflowClient, tmp_path: Path) -> str:
    experiment = client.create_experiment("small", artifact_location=(tmp_path / "kept here").as_uri())
    run: str = client.create_run(experiment).info.run_id
    client.log_text(run, "one", "first.txt")
    client.log_text(run, "two", "reference/second.txt")
    client.log_text(run, "three", "reference/deeper/third.txt")
    return run


def test_a_folder_is_listed_and_copied_as_mlflow_does_it(client: MlflowClient, run_id: str, tmp_path: Path) -> None:
    assert run_files(client, run_id) == ["first.txt"]
    assert run_files(client, run_id, "reference") == ["reference/second.txt"]
    assert run_files(client, run_id, "nothing") == []

    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir()
    copy = download_run_files(client, run_id, "reference", ours)
    client.download_artifacts(run_id, "reference", str(theirs))

    assert copy == ours / "reference"
    files = sorted(path.relative_to(theirs) for path in theirs.rglob("*.txt"))
    assert sorted(path.relative_to(ours) for path in ours.rglob("*.txt")) == files
    assert download_run_files(client, run_id, "reference/second.txt", ours).read_text() == "two"


def test_the_server_is_asked_once_where_the_files_of_a_run_are(
    client: MlflowClient, run_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    get_run = client.get_run
    monkeypatch.setattr(client, "get_run", lambda run: asked.append(run) or get_run(run))

    run_files(client, run_id)
    run_files(client, run_id, "reference")
    download_run_files(client, run_id, "first.txt", tmp_path)

    assert asked == [run_id]


def test_a_file_or_run_that_is_not_there_is_an_error_of_mlflow(
    client: MlflowClient, run_id: str, tmp_path: Path
) -> None:
    with pytest.raises(MlflowException, match=r"'reference/gone\.txt' of run .* can't be read"):
        download_run_files(client, run_id, "reference/gone.txt", tmp_path)
    with pytest.raises(MlflowException, match="not found"):
        run_files(client, "no-such-run")
