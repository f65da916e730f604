"""Copies of model versions on disk, which the worker processes of a service share."""

import contextlib
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from everfit.infra.serving import model_cache
from everfit.infra.serving.model_cache import ModelCache
from everfit.tasks.core.records import ModelVersion

VERSION = ModelVersion(model="delays", version=3, run_id="run", trained_until=datetime(2024, 1, 1, tzinfo=UTC))


def test_a_version_that_two_workers_want_at_once_is_there_for_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2, timeout=1)
    downloads: list[Path] = []

    def download(client: Any, version: ModelVersion, folder: Path, check: Any) -> Path:
        downloads.append(folder)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait()  # each is at it before the other is done, if they don't wait for each other
        results = folder / "model"
        results.mkdir()
        (results / "model.skops").write_text("fitted")
        return results

    removed: list[str] = []
    remove = model_cache.shutil.rmtree

    def watched(path: Path, **given: Any) -> None:
        removed.extend([path.name] if path.exists() else [])
        remove(path, **given)

    monkeypatch.setattr(model_cache, "fetch", download)
    monkeypatch.setattr(model_cache.shutil, "rmtree", watched)
    monkeypatch.setattr(model_cache.os, "getpid", threading.get_ident)  # as two processes
    results: list[str] = []

    def work() -> None:
        folder = ModelCache(tmp_path).fetch(None, VERSION)  # type: ignore[arg-type]
        results.append((folder / "model.skops").read_text())

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert results == ["fitted"] * 2
    assert "3" not in removed  # what another one may be reading
    assert len(downloads) == 1
    assert [one.name for one in tmp_path.iterdir() if one.name.endswith(".tmp")] == []


class Downloads:
    """A registry with one version, whose downloads are counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        monkeypatch.setattr(model_cache, "fetch", self.download)

    def download(self, _client: Any, _version: ModelVersion, folder: Path, _check: Any) -> Path:
        self.count += 1
        made = folder / "model"
        made.mkdir()
        (made / "model.skops").write_text("fitted")
        (made / "MLmodel").write_text("described")
        return made


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> Downloads:
    return Downloads(monkeypatch)


def torn(folder: Path) -> None:
    (folder / "model.skops").write_text("")


def half_deleted(folder: Path) -> None:
    (folder / "MLmodel").unlink()


def without_list(folder: Path) -> None:
    (folder / "everfit-files.json").unlink()


def with_a_torn_list(folder: Path) -> None:
    (folder / "everfit-files.json").write_text('{"files": ')


@pytest.mark.parametrize("damage", [torn, half_deleted, without_list, with_a_torn_list])
def test_a_copy_that_is_not_whole_is_downloaded_again(tmp_path: Path, downloads: Downloads, damage: Any) -> None:
    cache = ModelCache(tmp_path)
    folder = cache.fetch(None, VERSION)  # type: ignore[arg-type]
    assert cache.fetch(None, VERSION) == folder  # type: ignore[arg-type]
    assert downloads.count == 1
    damage(folder)

    assert cache.fetch(None, VERSION) == folder  # type: ignore[arg-type]
    assert downloads.count == 2
    assert (folder / "model.skops").read_text() == "fitted"
    assert (folder / "MLmodel").exists()


@pytest.mark.parametrize(("damage", "served"), [(torn, False), (half_deleted, False), (without_list, True)])
def test_the_last_champion_is_a_whole_copy_or_one_of_an_earlier_everfit(
    tmp_path: Path, downloads: Downloads, damage: Any, served: bool
) -> None:
    cache = ModelCache(tmp_path)
    folder = cache.fetch(None, VERSION)  # type: ignore[arg-type]
    cache.remember(VERSION)
    assert cache.last_champion() == (VERSION, folder)
    assert cache.is_checked(VERSION)
    damage(folder)

    assert (cache.last_champion() is not None) == served
    assert cache.is_checked(VERSION) != (damage is without_list)
