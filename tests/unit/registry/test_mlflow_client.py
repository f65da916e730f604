"""MLflow's own database file is there as a whole or not at all, whenever the process that makes it dies."""

import os
import sqlite3
import subprocess
from pathlib import Path

import pytest

from everfit.tasks.registry import mlflow_client


def test_a_database_that_was_not_finished_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mlflow.db"
    made: list[str] = []

    def make_some(uri: str) -> None:
        made.append(uri)
        with sqlite3.connect(uri.removeprefix("sqlite:///")) as database:
            database.execute("CREATE TABLE some (x)")
            if len(made) == 1:
                raise KeyboardInterrupt  # as good as a kill
            database.execute("CREATE TABLE others (x)")

    monkeypatch.setattr(mlflow_client, "_make_tables", make_some)
    with pytest.raises(KeyboardInterrupt):
        mlflow_client._make_database(path)
    assert not path.exists()
    (tmp_path / f"mlflow.db.{_ended_process()}.2.tmp-journal").touch()

    mlflow_client._make_database(path)
    mlflow_client._make_database(path)

    assert len(made) == 2
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (2,)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_another_process_is_making_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = tmp_path / f"mlflow.db.{os.getppid()}.2.tmp"
    others.touch()
    monkeypatch.setattr(mlflow_client, "_make_tables", lambda uri: Path(uri.removeprefix("sqlite:///")).touch())

    mlflow_client._make_database(tmp_path / "mlflow.db")

    assert set(tmp_path.iterdir()) == {tmp_path / "mlflow.db", others}


def _ended_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid
