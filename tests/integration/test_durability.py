"""A recorder of the operations sees that what is named, or whose source is deleted, was on the disk before."""

import os
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient
from support.spools import KINDS, batch, drain_of
from support.training import a_spec, data_of, rows_of

from everfit.infra.serving.spool import Spool
from everfit.tasks.registry.registration import register_model
from everfit.tasks.storage.tables import DAY, KEY, Table
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.training import train
from everfit.tasks.training.prequential import fit_prequentially


class Disk:
    """The files and folders that were flushed, each as it was then."""

    def __init__(self) -> None:
        self.folders: dict[str, list[str]] = {}
        self.sizes: dict[int, int] = {}  # by inode: a file keeps its content when it is renamed
        self._fsync = os.fsync

    def fsync(self, descriptor: int) -> None:
        self._fsync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        status = os.fstat(descriptor)
        if path.is_dir():
            self.folders[str(path)] = [entry.name for entry in path.iterdir()]
        else:
            self.sizes[status.st_ino] = status.st_size

    def lost(self, folder: Path) -> list[str]:
        """What a power failure at this moment could take of a folder: names and contents that were not flushed."""
        lost = []
        for path in folder.rglob("*"):
            if path.name not in self.folders.get(str(path.parent), []):
                lost.append(f"{path}: name")
            status = path.stat()
            if path.is_file() and self.sizes.get(status.st_ino) != status.st_size:
                lost.append(f"{path}: content")
        return lost


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    recorder = Disk()
    monkeypatch.setattr(os, "fsync", recorder.fsync)
    return recorder


def test_a_segment_is_deleted_once_the_log_is_on_the_disk(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, spool = tmp_path / "predictions", Spool.claim(tmp_path / "spool")
    drain, unlink, deleted = drain_of(spool, Table(str(log))), Path.unlink, []

    def checked(path: Path, *, missing_ok: bool = False) -> None:
        if path.suffix == ".seg":
            assert disk.lost(log) == []
            deleted.append(path)
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", checked)
    for first in (0, 30, 60):  # of several days, so in several folders
        spool.append(KINDS, batch(first, 30))
        drain.drain()
        assert drain.state.error == ""
    spool.append({**KINDS, "x": "string"}, {**batch(90, 1), "x": ["a text"]})
    drain.drain()

    assert len(deleted) == 4
    assert disk.lost(spool.folder / "aside") == []


def test_a_write_to_a_table_is_on_the_disk_when_it_returns(tmp_path: Path, disk: Disk) -> None:
    table = Table(str(tmp_path / "dataset"), historic=True)
    days = pd.date_range("2024-01-01", periods=3).date
    rows = pd.DataFrame({KEY: [1, 2, 3], "x": [0.5, 1.5, 2.5], DAY: days})

    table.append(rows, "first")
    assert disk.lost(tmp_path / "dataset") == []
    table.supersede(rows.assign(x=9.5), "second")
    assert disk.lost(tmp_path / "dataset") == []
    assert table.remove(f"{KEY} = 2") == 1
    assert disk.lost(tmp_path / "dataset") == []
    table.append(rows.assign(x=1.0), "third")
    table.compact()
    assert disk.lost(tmp_path / "dataset") == []


def test_a_file_of_the_workspace_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, replace = Workspace(str(tmp_path)), os.replace

    def checked(source: str, target: str) -> None:
        assert disk.sizes[Path(source).stat().st_ino] == len(b"content")
        replace(source, target)

    monkeypatch.setattr(os, "replace", checked)
    path = workspace.turn_file("model", "turn", "spec.json")
    workspace.write(path, b"content")

    assert "spec.json" in disk.folders[str(Path(path).parent)]


def test_a_version_is_registered_when_its_files_are_on_the_disk(
    tmp_path: Path, mlflow_uri: str, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry's own database is flushed with each change, so it would name files that a power cut has taken."""
    client, register = MlflowClient(tracking_uri=mlflow_uri), MlflowClient.create_model_version
    named: list[Path] = []

    def checked(registry: MlflowClient, *given: object, **others: object) -> object:
        run = registry.get_run(str(others["run_id"]))
        logged = registry.get_logged_model(str(others["model_id"]))
        for place in (run.info.artifact_uri, logged.artifact_location):
            named.append(Path(place.removeprefix("file://")))
            if named[-1].is_dir():
                assert disk.lost(named[-1]) == []
        return register(registry, *given, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(MlflowClient, "create_model_version", checked)
    data = data_of(a_spec(), rows_of(), tmp_path / "workspace")
    fitted = fit_prequentially(data, (train.try_candidate(data, "logistic_regression"),), str(tmp_path / "fit.skops"))
    run = client.create_run(client.create_experiment("small", (tmp_path / "artifacts").as_uri()))

    register_model(client, run.info.run_id, data, fitted, turn_id="t", description="")

    assert any((place / "model.skops").is_file() for place in named)
