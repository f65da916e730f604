"""Copies of model versions on disk, which the worker processes of a service share."""

import contextlib
import json
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from everfit.blocks.errors import ArtifactError
from everfit.infra.serving import model_cache
from everfit.infra.serving.model_cache import ModelCache
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.models.artifacts import copy_digests
from everfit.tasks.models.signatures import SIGNATURE_TAG, new_key, read_signing_key, signature_by, version_message

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


def a_link_to_nowhere(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.symlink_to(folder.parent / "gone")


@pytest.mark.parametrize("damage", [torn, half_deleted, without_list, with_a_torn_list, a_link_to_nowhere])
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
    assert list(tmp_path.glob("*.tmp")) == []


class SignedDownloads:
    """A registry with one version that has a signature, if `signature` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.signature: str | None = None
        monkeypatch.setattr(model_cache, "fetch", self.download)

    def download(self, _client: Any, version: ModelVersion, folder: Path, check: Any) -> Path:
        made = folder / "model"
        made.mkdir()
        (made / "model.skops").write_text("fitted")
        check(version, copy_digests(made))
        return made

    def get_model_version(self, _name: str, _number: str) -> Any:
        return SimpleNamespace(tags={} if self.signature is None else {SIGNATURE_TAG: self.signature})


def test_a_copy_counts_only_if_a_signer_of_the_spec_has_signed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry: Any = SignedDownloads(monkeypatch)
    signer = f"{new_key(tmp_path / 'key.pem')} ann"
    trusting, strict = (ModelCache(tmp_path / "models", signers=signers) for signers in ((), (signer,)))
    folder = trusting.fetch(registry, VERSION)
    trusting.remember(VERSION)

    # A copy from before the spec named signers is no longer served, with its list of files or without.
    assert trusting.last_champion() == (VERSION, folder)
    assert strict.last_champion() is None
    with pytest.raises(ArtifactError, match="version 3 of 'delays' is not loaded: it has no signature"):
        strict.fetch(registry, VERSION)
    listed = (folder / "everfit-files.json").read_text()
    without_list(folder)
    assert strict.last_champion() is None
    (folder / "everfit-files.json").write_text(listed)

    key = read_signing_key(SecretStr(str(tmp_path / "key.pem")))
    registry.signature = signature_by(key, version_message(VERSION, copy_digests(folder)))
    strict.fetch(registry, VERSION)
    assert strict.last_champion() == (VERSION, folder)  # also when the registry is down
    (folder / "model.skops").write_text("changed")
    changed = {"files": copy_digests(folder), "checked_by": "registry", "signature": registry.signature}
    (folder / "everfit-files.json").write_text(json.dumps(changed))
    assert strict.last_champion() is None


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
