"""A service loads the files that were registered, and no others, without access to the ledger."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from everfit.blocks.settings import Settings
from everfit.tasks.ledger import Ledger
from everfit.tasks.models.artifacts import overall_digest
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.artifact_records import DIGEST_TAG, copy_path, read_digests, record_artifacts
from everfit.tasks.storage.workspace import Workspace


@pytest.fixture
def stored(registry: Any, tmp_path: Path, workspace: Path) -> Path:
    """Where the registry keeps the first version of `delays`, whose files are recorded."""
    folder = tmp_path / "store"
    shutil.copytree(Path(registry.sources["first"].removeprefix("file://")), folder)
    shutil.copytree(Path(registry.sources["second"].removeprefix("file://")), tmp_path / "other")
    registry.sources = {**registry.sources, "stored": folder.as_uri()}
    registry.champion("delays", registry.add("delays", "stored"))
    version = model_registry.model_version(registry.client, "delays", 1)
    record_artifacts(
        registry.client, Ledger.open(Settings()), Workspace(str(workspace)), version, actor="everfit", reason="test"
    )
    return folder


def poison(stored: Path) -> None:
    shutil.copy(stored.with_name("other") / "model.skops", stored / "model.skops")


def test_recorded_files_are_served_and_the_status_says_what_they_were_checked_against(
    stored: Path, serve: Any, good: dict[str, Any]
) -> None:
    service = serve("delays")

    assert service.client.post("/invocations", json={"dataframe_records": [good]}).status_code == 200
    assert service.client.get("/models/delays").json()["champion"]["files_checked_by"] == "workspace"


@pytest.mark.parametrize("tag", ["as recorded", "of the other files", "removed"])
def test_a_replaced_model_is_not_served_whatever_its_tag_says(
    stored: Path, registry: Any, serve: Any, until: Any, good: dict[str, Any], tag: str
) -> None:
    poison(stored)
    version = model_registry.model_version(registry.client, "delays", 1)
    if tag == "of the other files":
        digest = overall_digest(read_digests(registry.client, version))
        registry.client.set_model_version_tag("delays", "1", DIGEST_TAG, digest)
    elif tag == "removed":
        registry.client.delete_model_version_tag("delays", "1", DIGEST_TAG)
    service = serve("delays", ready=False)

    until(lambda: service.client.get("/models/delays").json()["failed_version"] == 1)
    status = service.client.get("/models/delays").json()
    assert status["version"] is None
    assert "'model/model.skops' has SHA-256" in status["error"]
    assert "everfit verify delays" in status["error"]
    assert service.client.get("/health").status_code == 503
    refused = service.client.post("/models/delays/predict", json={"records": [good]}).json()["message"]
    assert refused.startswith("'delays' can't predict: version 1 is not served: ArtifactError: ")


def test_files_that_are_restored_are_served_at_last(stored: Path, serve: Any, until: Any) -> None:
    genuine = (stored / "model.skops").read_bytes()
    poison(stored)
    service = serve("delays", ready=False)
    until(lambda: service.client.get("/models/delays").json()["failed_version"] == 1)

    (stored / "model.skops").write_bytes(genuine)
    until(lambda: service.client.get("/health").status_code == 200)
    assert service.client.get("/models/delays").json()["error"] == ""


def test_a_replaced_challenger_or_champion_leaves_the_served_version_in_place(
    stored: Path, registry: Any, serve: Any, until: Any, good: dict[str, Any]
) -> None:
    registry.champion("delays", registry.add("delays", "second"))
    service = serve("delays")
    poison(stored)
    registry.champion("delays", 1)

    until(lambda: service.client.get("/models/delays").json()["failed_version"] == 1)
    (answer,) = service.client.post("/models/delays/predict", json={"records": [good]}).json()["predictions"]
    assert answer["model_version"] == 2
    # Nothing was recorded of this version, and the status says so.
    assert service.client.get("/models/delays").json()["champion"]["files_checked_by"] == "not recorded"


@pytest.mark.parametrize("poisoned", [False, True], ids=["genuine", "replaced"])
def test_without_the_workspaces_digests_the_tag_decides(
    stored: Path, registry: Any, serve: Any, until: Any, workspace: Path, poisoned: bool
) -> None:
    version = model_registry.model_version(registry.client, "delays", 1)
    Path(copy_path(Workspace(str(workspace)), version)).unlink()
    if poisoned:
        poison(stored)
    service = serve("delays", ready=not poisoned)

    if poisoned:
        until(lambda: service.client.get("/models/delays").json()["failed_version"] == 1)
        assert "have the digest sha256:" in service.client.get("/models/delays").json()["error"]
    else:
        assert service.client.get("/models/delays").json()["champion"]["files_checked_by"] == "registry"


def test_damaged_digests_in_the_workspace_are_no_permission(
    stored: Path, registry: Any, serve: Any, until: Any, workspace: Path
) -> None:
    version = model_registry.model_version(registry.client, "delays", 1)
    Path(copy_path(Workspace(str(workspace)), version)).write_text("{}")
    service = serve("delays", ready=False)

    until(lambda: service.client.get("/models/delays").json()["failed_version"] == 1)
    assert "everfit verify delays --record" in service.client.get("/models/delays").json()["error"]
