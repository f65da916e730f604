"""What a service keeps of versions that other processes fetch and condense."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from everfit.blocks.errors import ArtifactError, ModelError
from everfit.infra.serving import apart, model_cache
from everfit.infra.serving.apart import ApartError, Processes
from everfit.infra.serving.model_cache import ModelCache
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.models.artifacts import copy_digests
from everfit.tasks.registry.local_copy import LocalFiles

VERSION = ModelVersion(model="delays", version=3, run_id="run", trained_until=datetime(2024, 1, 1, tzinfo=UTC))


class Recorded(Processes):
    """Notes its work, and does it as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched = self.condensed = 0
        self.error: Exception | None = None

    def fetch(self, folder: Path, version: ModelVersion, *_: Any, **__: Any) -> None:
        self.fetched += 1
        if self.error is not None:
            raise self.error
        made = folder / str(version.version)
        made.mkdir()
        (made / "model.skops").write_text("fitted")
        (made / "everfit-version.json").write_text(version.canonical_json())
        kept = {"files": copy_digests(made), "checked_by": "workspace", "signature": None}
        (made / "everfit-files.json").write_text(json.dumps(kept))

    def condense(self, *_: Any, **__: Any) -> bytes:
        self.condensed += 1
        if self.error is not None:
            raise self.error
        return b"numbers"


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    def read(content: bytes, name: str) -> Any:
        if content != b"numbers":
            raise ValueError(name)
        return name

    monkeypatch.setattr(model_cache, "read_condensed", read)
    return Recorded()


def test_a_version_is_fetched_and_condensed_once(tmp_path: Path, processes: Recorded) -> None:
    for _ in range(2):
        cache = ModelCache(tmp_path, apart=processes)
        cache.fetch_apart(processes, VERSION, None, serves=False)
        assert cache.condensed(VERSION, serves=False) is not None
    assert (processes.fetched, processes.condensed) == (1, 1)

    (tmp_path / "3.condensed").write_bytes(b"torn")
    assert cache.condensed(VERSION, serves=False) is not None
    assert processes.condensed == 2


def test_where_versions_must_be_signed_what_lies_beside_the_copy_is_not_read(
    tmp_path: Path, processes: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = ModelCache(tmp_path, apart=processes)
    cache.fetch_apart(processes, VERSION, None, serves=False)
    monkeypatch.setattr(cache._recorded, "wants_signatures", lambda: True)
    for _ in range(2):
        cache.condensed(VERSION, serves=False)
    assert processes.condensed == 2


def test_a_version_that_cannot_be_condensed_is_loaded_with_its_pipeline(tmp_path: Path, processes: Recorded) -> None:
    cache = ModelCache(tmp_path, apart=processes)
    cache.fetch_apart(processes, VERSION, None, serves=False)
    processes.error = ApartError("killed")
    assert cache.condensed(VERSION, serves=True) is None


def test_files_on_this_machine_are_copied_without_a_process(tmp_path: Path, processes: Recorded) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.skops").write_text("fitted")
    cache = ModelCache(tmp_path / "copies", apart=processes)
    files = LocalFiles(tmp_path / "model", None, {})
    folder = cache.fetch_apart(processes, VERSION, files, serves=False)
    assert (folder / "model.skops").read_text() == "fitted"
    assert processes.fetched == 0

    gone = LocalFiles(tmp_path / "gone", None, {})
    ModelCache(tmp_path / "other", apart=processes).fetch_apart(processes, VERSION, gone, serves=False)
    assert processes.fetched == 1
    assert list(tmp_path.glob("*/*.tmp")) == []


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"error": "ArtifactError", "message": "changed"}, ArtifactError),
        ({"error": "ConnectionError", "message": "changed"}, ModelError),
    ],
)
def test_what_a_process_says_of_a_version_is_said_by_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: dict[str, str], kind: type[Exception]
) -> None:
    monkeypatch.setattr(Processes, "_do", lambda *_, **__: json.dumps(said).encode())
    with pytest.raises(kind, match="changed"):
        Processes().fetch(tmp_path, VERSION, (), serves=True)


@pytest.mark.slow
def test_one_process_does_the_work_of_a_start_and_says_why_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    started: list[Any] = []
    start = apart._started
    monkeypatch.setattr(apart, "_started", lambda niceness: started.append(start(niceness)) or started[-1])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'none' / 'mlflow.db'}")
    processes = Processes()
    processes.start_early()
    for _ in range(2):
        with pytest.raises(ModelError):
            processes.fetch(tmp_path, VERSION, (), serves=False)  # there is no registry
    assert len(started) == 1

    with pytest.raises(ApartError, match="ended with code 1"):
        processes.condense(tmp_path, VERSION, "these files", serves=False)
    assert "can't be read" in capfd.readouterr().err
    processes.end_start()
    assert started[0].returncode == 1
