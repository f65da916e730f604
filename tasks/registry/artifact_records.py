"""Record the files of registered versions in three places, each for other readers.

The ledger has the digests that everfit checks each load against. The workspace has a copy for the prediction service,
which has no access to the ledger. The version's tag has one digest for people.
"""

import hashlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pydantic import ValidationError

from everfit.blocks.errors import ArtifactError
from everfit.blocks.settings import Settings
from everfit.tasks.core.records import ModelVersion, Record
from everfit.tasks.models.artifacts import Digests, copy_digests, file_digest, needed_to_predict, overall_digest
from everfit.tasks.models.run_files import download_run_files, run_files
from everfit.tasks.models.signatures import (
    SIGNATURE_TAG,
    public_key,
    read_signing_key,
    signature_by,
    version_message,
    why_not_signed,
)
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.local_files import make_durable
from everfit.tasks.scoring.loading import fetch
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from everfit.tasks.ledger import Ledger
    from everfit.tasks.ledger.records import RecordedArtifacts

DIGEST_TAG = "everfit.artifacts"
ANCHOR_TAG = "everfit.chain"
"""Tag with the newest link of the ledger's chain at registration, which shows if the chain is cut or written again."""

_REFERENCE = "reference"


class ArtifactCopy(Record):
    """The workspace's copy of the digests of the files that a version predicts with."""

    model: str
    version: int
    run_id: str
    files: dict[str, str]


def record_artifacts(
    client: "MlflowClient", ledger: "Ledger", workspace: Workspace, version: ModelVersion, *, actor: str, reason: str
) -> "RecordedArtifacts":
    """Record the files of a version as they are now; safe to repeat.

    Args:
        client: Client of the registry.
        ledger: The ledger.
        workspace: The workspace.
        version: The version, as it was registered.
        actor: Name of the person or part of everfit that records them.
        reason: Why they are recorded.

    Raises:
        LedgerError: Other files were recorded for the version before.
    """
    recorded = ledger.artifacts.find(version)
    if recorded is None:
        _make_durable(client, version)
        files = read_digests(client, version)
        recorded = ledger.artifacts.record(version, files, actor=actor, reason=reason)
    publish(client, workspace, version, recorded.files)
    if ANCHOR_TAG not in model_registry.version_tags(client, version.model, version.version):
        from everfit.tasks.ledger.chain_check import newest_link

        head = newest_link(ledger.store, version.model)
        model_registry.set_version_tag(client, version.model, version.version, ANCHOR_TAG, head)
    return recorded


def publish(client: "MlflowClient", workspace: Workspace, version: ModelVersion, files: Digests) -> None:
    """Write recorded digests to the workspace, for the service, and to the version's tag, for people."""
    served = needed_to_predict(files)
    copy = ArtifactCopy(model=version.model, version=version.version, run_id=version.run_id, files=served)
    workspace.write(copy_path(workspace, version), copy.canonical_json().encode())
    _sign(client, version, files)
    if model_registry.version_tags(client, version.model, version.version).get(DIGEST_TAG) != overall_digest(files):
        model_registry.set_version_tag(client, version.model, version.version, DIGEST_TAG, overall_digest(files))


def _sign(client: "MlflowClient", version: ModelVersion, files: Digests) -> None:
    """Sign the recorded files of a version, if this process has a key and they are not signed by it."""
    given = Settings().signing_key
    if given is None:
        return
    key, message = read_signing_key(given), version_message(version, files)
    tag = model_registry.version_tags(client, version.model, version.version).get(SIGNATURE_TAG)
    if why_not_signed(tag, message, {"": {public_key(key): ""}}):
        signature = signature_by(key, message)
        model_registry.set_version_tag(client, version.model, version.version, SIGNATURE_TAG, signature)


def read_digests(client: "MlflowClient", version: ModelVersion) -> dict[str, str]:
    """Return the digests of all files of a version, as the store has them now."""
    with TemporaryDirectory(prefix="everfit-artifacts-") as folder:
        place = Path(folder, "version")
        place.mkdir()
        digests = copy_digests(fetch(client, version, place, lambda *_: None))
        if version.run_id:
            for path in run_files(client, version.run_id, _REFERENCE):
                if path not in digests:
                    digests[path] = file_digest(download_run_files(client, version.run_id, path, folder))
    return digests


def copy_path(workspace: Workspace, version: ModelVersion) -> str:
    """Return the place of the workspace's copy; the run is part of its name, as numbers of versions are reused."""
    run = hashlib.sha256(version.run_id.encode()).hexdigest()[:16]
    return workspace.file(version.model, "versions", f"{version.version}-{run}.json")


def read_copy(workspace: Workspace, version: ModelVersion) -> dict[str, str] | None:
    """Return the digests that the workspace has of a version's files, or None if it has none.

    Raises:
        ArtifactError: The copy is damaged, or of another version.
    """
    path = copy_path(workspace, version)
    try:
        content = bytes(workspace.filesystem.cat_file(path))
    except FileNotFoundError:
        return None
    try:
        copy = ArtifactCopy.model_validate(json.loads(content), extra="ignore")
    except (ValueError, ValidationError) as error:
        raise ArtifactError(
            f"the digests of version {version.version} of {version.model!r} in {path!r} can't be read; "
            f"write them again with `everfit verify {version.model} --record`"
        ) from error
    if (copy.version, copy.run_id) != (version.version, version.run_id):  # not the name: models are renamed
        raise ArtifactError(
            f"{path!r} has the digests of version {copy.version} of {copy.model!r}, run {copy.run_id!r}; "
            f"write them again with `everfit verify {version.model} --record`"
        )
    return copy.files


def read_tag(client: "MlflowClient", version: ModelVersion) -> str | None:
    """Return the digest in the version's tag, or None without one."""
    return model_registry.version_tags(client, version.model, version.version).get(DIGEST_TAG)


def read_anchors(client: "MlflowClient", model: str) -> dict[str, str]:
    """Return the links of the ledger's chain that the tags of versions name, by the tag in words."""
    anchors = {}
    for number in model_registry.versions(client, model):
        if anchor := model_registry.version_tags(client, model, number).get(ANCHOR_TAG):
            anchors[f"the tag of version {number}"] = anchor
    return anchors


def _make_durable(client: "MlflowClient", version: ModelVersion) -> None:
    """Flush the files of a version to the disk if MLflow keeps them in a local folder, before the ledger names them."""
    registered = client.get_model_version(version.model, str(version.version))
    uris = [client.get_model_version_download_uri(version.model, str(version.version))]
    if registered.model_id:
        uris.append(client.get_logged_model(registered.model_id).artifact_location)
    if version.run_id:
        uris.append(client.get_run(version.run_id).info.artifact_uri)
    make_durable(uris)
