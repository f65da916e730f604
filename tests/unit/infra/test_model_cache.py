"""Copies of model versions on disk, which the worker processes of a service share."""

import contextlib
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from everfit.infra.serving import servable
from everfit.infra.serving.servable import ModelCache
from everfit.tasks.core.records import ModelVersion

VERSION = ModelVersion(model="delays", version=3, run_id="run", trained_until=datetime(2024, 1, 1, tzinfo=UTC))


def test_a_version_that_two_workers_want_at_once_is_there_for_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2, timeout=1)
    downloads: list[Path] = []

    def download(client: Any, version: ModelVersion, folder: Path) -> Path:
        downloads.append(folder)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait()  # each is at it before the other is done, if they don't wait for each other
        found = folder / "model"
        found.mkdir()
        (found / "model.skops").write_text("fitted")
        return found

    removed: list[str] = []
    remove = servable.shutil.rmtree

    def watched(path: Path, **given: Any) -> None:
        removed.extend([path.name] if path.exists() else [])
        remove(path, **given)

    monkeypatch.setattr(servable, "fetch", download)
    monkeypatch.setattr(servable.shutil, "rmtree", watched)
    monkeypatch.setattr(servable.os, "getpid", threading.get_ident)  # as two processes
    found: list[str] = []

    def work() -> None:
        folder = ModelCache(tmp_path).fetch(None, VERSION)  # type: ignore[arg-type]
        found.append((folder / "model.skops").read_text())

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert found == ["fitted"] * 2
    assert "3" not in removed  # what another one may be reading
    assert len(downloads) == 1
    assert [one.name for one in tmp_path.iterdir() if one.name.endswith(".tmp")] == []
