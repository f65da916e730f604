"""Check the files of a version before the service loads it.

The service has no access to the ledger. It reads the workspace's copy of the digests, which it can't write and MLflow
can't reach. If the workspace has none or doesn't answer, the tag in the registry counts. The copy on the local disk
keeps the digests beside its files, so that a restart can check them without any server.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from everfit.blocks.errors import ArtifactError
from everfit.blocks.settings import Settings
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.core.time_limit import answer_within
from everfit.tasks.models.artifacts import (
    Digests,
    changed_files_error,
    copy_digests,
    differences,
    needed_to_predict,
    overall_digest,
)
from everfit.tasks.models.signatures import SIGNATURE_TAG, required_signers
from everfit.tasks.registry import artifact_records, model_registry
from everfit.tasks.scoring.signed_files import check_version_signature
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

CheckedBy = Literal["workspace", "registry", "not recorded"]

_KEPT = "everfit-files.json"
_ANSWERS_WITHIN = 5.0  # seconds; a store that is down must not keep the service from starting


@dataclass
class RecordedFiles:
    """Where the service finds the digests of a version's files.

    Args:
        workspace: The workspace; None for a test of the cache alone.
        signers: The signers in the spec of the model.
    """

    workspace: Workspace | None = None
    signers: Sequence[str] = ()
    _checked_by: dict[int, CheckedBy] = field(default_factory=dict)
    _signatures: dict[int, str | None] = field(default_factory=dict)

    def check(self, client: "MlflowClient", version: ModelVersion, digests: Digests) -> None:
        """Refuse a download whose files are not those that were registered.

        Args:
            client: Client of the registry.
            version: The version.
            digests: Digests of the downloaded files.

        Raises:
            ArtifactError: A file differs, is missing or was added, or the workspace's digests can't be read.
        """
        self.check_by_tags(model_registry.version_tags(client, version.model, version.version), version, digests)

    def check_by_tags(self, tags: Mapping[str, str], version: ModelVersion, digests: Digests) -> None:
        """Refuse files that are not those that were registered.

        Args:
            tags: Tags of the version in the registry.
            version: The version.
            digests: Digests of the files.

        Raises:
            ArtifactError: A file differs, is missing or was added, or the workspace's digests can't be read.
        """
        signature = tags.get(SIGNATURE_TAG)
        check_version_signature(signature, version, digests, self.signers)
        self._signatures[version.version] = signature
        recorded = self._of_workspace(version)
        if recorded is not None:
            self._checked_by[version.version] = "workspace"
            _refuse(version, differences(digests, needed_to_predict(recorded)))
            return
        tag = tags.get(artifact_records.DIGEST_TAG)
        if tag is not None:
            self._checked_by[version.version] = "registry"
            logger.warning(
                "%s: version %s is checked against its tag alone, because the workspace has no digests of it",
                version.model,
                version.version,
            )
            if (digest := overall_digest(digests)) != tag:
                _refuse(version, [f"together they have the digest {digest}, and {tag} was recorded"])
            return
        self._checked_by[version.version] = "not recorded"
        logger.warning(
            "%s: the files of version %s are not checked, because none were recorded; record them with "
            "`everfit verify %s --record`",
            version.model,
            version.version,
            version.model,
        )

    def checked_by(self, version: ModelVersion) -> CheckedBy:
        """Return what a version's files were checked against."""
        return self._checked_by.get(version.version, "not recorded")

    def keep(self, folder: Path, version: ModelVersion) -> None:
        """Write the digests of a checked download beside its files."""
        kept = {
            "checked_by": self.checked_by(version),
            "files": copy_digests(folder),
            "signature": self._signatures.get(version.version),
        }
        (folder / _KEPT).write_text(json.dumps(kept, sort_keys=True))

    def check_copy(self, folder: Path, version: ModelVersion) -> None:
        """Refuse a copy on the local disk that is torn, incomplete, changed, or not signed as it must be.

        Args:
            folder: The copy.
            version: The version.

        Raises:
            ArtifactError: A file of the copy differs from its download, or the digests are missing.
        """
        try:
            kept = json.loads((folder / _KEPT).read_text())
            files, checked_by, signature = dict(kept["files"]), kept["checked_by"], kept.get("signature")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ArtifactError(f"the copy in {str(folder)!r} has no readable list of its files") from error
        if problems := differences(copy_digests(folder), files):
            raise ArtifactError(f"the copy in {str(folder)!r} is damaged: {problems[0]}")
        check_version_signature(signature, version, needed_to_predict(files), self.signers)
        self._checked_by[version.version] = checked_by

    def wants_signatures(self) -> bool:
        """Return whether a version must be signed before it is served."""
        return bool(required_signers(Settings(), self.signers))

    def _of_workspace(self, version: ModelVersion) -> dict[str, str] | None:
        """Return the workspace's digests; None without them, or if the store doesn't answer in time."""
        if self.workspace is None:
            return None
        workspace = self.workspace
        try:
            return answer_within(_ANSWERS_WITHIN, lambda: artifact_records.read_copy(workspace, version))
        except ArtifactError:
            raise
        except Exception as error:  # noqa: BLE001 - the store may fail in any way
            logger.warning(
                "%s: the digests of version %s can't be read from the workspace: %s: %s",
                version.model,
                version.version,
                type(error).__name__,
                error,
            )
            return None


def files_name(folder: Path) -> str:
    """Return a name of exactly the files of a copy, which was checked: the digest of its list."""
    return hashlib.sha256((folder / _KEPT).read_bytes()).hexdigest()


def is_listed(folder: Path) -> bool:
    """Return whether a copy on the local disk has a list of its files; copies of earlier versions have none."""
    return (folder / _KEPT).exists()


def _refuse(version: ModelVersion, problems: list[str]) -> None:
    if problems:
        raise ArtifactError(changed_files_error(version.model, version.version, problems))
