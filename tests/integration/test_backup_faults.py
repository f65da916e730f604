"""What can go wrong with a backup: interruptions, damage, deletions meanwhile, newer formats."""

import errno
import shutil
from pathlib import Path
from typing import Any

import mlflow
import pytest
from support.stories import Story

from everfit.blocks.errors import LedgerError, WorkspaceError
from everfit.blocks.settings import Settings
from everfit.tasks.backups import backup, workspace_files
from everfit.tasks.backups import restore as restoring
from everfit.tasks.backups.archive import Archive, ArchiveWriter
from everfit.tasks.backups.backup import back_up
from everfit.tasks.ledger import Ledger
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.mlflow_client import tracking_client
from everfit.tasks.storage.deleted_keys import DeletedKey, remember_key
from everfit.tasks.turns.context import Context


@pytest.fixture
def here(story: Story) -> Context:
    """A model in the places of now, also when the environment names others."""
    context = story.context
    assert context.mlflow
    return context


@pytest.fixture
def elsewhere(here: Context, _empty_mlflow: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Another workspace, ledger and MLflow, all empty."""
    folder = tmp_path / "elsewhere"
    monkeypatch.setenv("EVERFIT_WORKSPACE", str(folder))
    monkeypatch.setenv("EVERFIT_LEDGER_URL", f"sqlite:///{folder / 'another.db'}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    folder.mkdir()
    shutil.copy(_empty_mlflow, folder / "mlflow.db")
    return Settings()


def test_a_restoring_that_was_interrupted_is_done_again(
    here: Context, elsewhere: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(here, "kept")
    ledger, client = Ledger.open(elsewhere), tracking_client(elsewhere)
    for place, name in (
        (workspace_files, "restore_files"),
        (restoring, "load_rows"),
    ):
        with monkeypatch.context() as broken:
            broken.setattr(place, name, lambda *_: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                restoring.restore(elsewhere, ledger, client, "kept", by="ann")
        assert ledger.releases.of("sales") == []

    done = restoring.restore(elsewhere, ledger, client, "kept", by="ann")

    assert done.champion == 1
    assert len(done.problems) == 3  # the files of the versions, which this story never had
    assert model_registry.versions(client, "sales") == [1, 2, 3]
    assert len(ledger.turns.of("sales")) == 3
    assert done.counts["rows of dataset"] == here.workspace.table("sales", "dataset").open().count()


def test_a_backup_on_a_full_disk_is_none_and_is_begun_again(here: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(mlflow.artifacts, "download_artifacts", lambda dst_path, **_: dst_path)
        broken.setattr(ArchiveWriter, "add_folder", full)
        with pytest.raises(OSError, match="No space left"):
            back_up(here, "kept")

    assert back_up(here, "kept").counts["versions"] == 3


def test_a_damaged_or_unfinished_back_up_is_refused_before_anything_is_written(
    here: Context, elsewhere: Settings
) -> None:
    manifest = back_up(here, "kept")
    ledger, client = Ledger.open(elsewhere), tracking_client(elsewhere)
    name = next(name for name in manifest.files if name.endswith(".parquet"))
    Path("kept", name).write_bytes(b"another")

    with pytest.raises(WorkspaceError, match=r"damaged: .*parquet was changed"):
        restoring.restore(elsewhere, ledger, client, "kept", by="ann")
    assert not Path(elsewhere.workspace, "sales").exists()
    with pytest.raises(WorkspaceError, match="has a backup already"):
        back_up(here, "kept")
    Path("kept", "backup.json").rename("kept/unfinished")
    with pytest.raises(WorkspaceError, match="an unfinished backup"):
        Archive.open("kept")
    back_up(here, "kept")  # an unfinished one is done again
    Archive.open("kept").verify()


def test_a_back_up_starts_again_if_rows_are_deleted_meanwhile(here: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    copy, tries = workspace_files.copy_tables, []

    def forgets(*places: Any) -> dict[str, int]:
        tries.append(len(tries))
        if len(tries) == 1:
            deleted = DeletedKey(request="cd", columns=("id",), values=(5,), keys=(6,))
            remember_key(here.workspace, "sales", deleted)
        return copy(*places)

    monkeypatch.setattr(workspace_files, "copy_tables", forgets)
    back_up(here, "kept")

    assert len(tries) == 2
    assert "workspace/deleted-keys/cd.json" in Archive.open("kept").manifest.files


def test_rows_of_a_newer_ledger_are_refused(
    here: Context, elsewhere: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "REVISION", "9999")
    back_up(here, "kept")

    with pytest.raises(LedgerError, match="upgrade everfit here"):
        restoring.restore(elsewhere, Ledger.open(elsewhere), tracking_client(elsewhere), "kept", by="ann")
