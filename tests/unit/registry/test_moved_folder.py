"""The embedded MLflow finds its files after its folder was moved or copied."""

import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from everfit.tasks.registry.moved_folder import ARTIFACTS, follow_moved_folder


def logged(folder: Path, uri: str) -> str:
    """Log a file to a run of an experiment whose files are in a folder; return the run."""
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment("m", artifact_location=(folder / ARTIFACTS / "m").as_uri())
    run = client.create_run(experiment).info.run_id
    client.log_text(run, "known", "note.txt")
    return str(run)


@pytest.fixture
def before(workspace: Path, mlflow_uri: str) -> tuple[Path, str]:
    return workspace, logged(workspace, mlflow_uri)


def read(folder: Path, run: str) -> str:
    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    return Path(client.download_artifacts(run, "note.txt")).read_text()


@pytest.mark.parametrize("move", [shutil.move, shutil.copytree])
def test_files_are_found_where_the_folder_is_now(before: tuple[Path, str], tmp_path: Path, move) -> None:
    folder, run = before
    now = tmp_path / "else where" / "[a]"
    now.parent.mkdir()
    move(folder, now)
    if folder.exists():
        (folder / ARTIFACTS / "m" / run / "artifacts" / "note.txt").write_text("of the first folder")
    follow_moved_folder(now / "mlflow.db", now)

    assert read(now, run) == "known"


@pytest.mark.slow
def test_files_of_a_renamed_experiment_are_found_where_the_folder_is_now(
    before: tuple[Path, str], tmp_path: Path
) -> None:
    folder, run = before
    client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    client.rename_experiment(client.get_run(run).info.experiment_id, "renamed")
    now = shutil.copytree(folder, tmp_path / "now")
    (folder / ARTIFACTS / "m" / run / "artifacts" / "note.txt").write_text("of the first folder")
    follow_moved_folder(now / "mlflow.db", now)

    assert read(now, run) == "known"


def test_files_of_another_folder_stay_where_they_are(before: tuple[Path, str], tmp_path: Path) -> None:
    """Given a database that two workspaces share, then one of them leaves the other's addresses as they are."""
    folder, run = before
    (tmp_path / "other" / ARTIFACTS / "m").mkdir(parents=True)
    follow_moved_folder(folder / "mlflow.db", tmp_path / "other")

    assert read(folder, run) == "known"
