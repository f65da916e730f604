"""Copies of model versions on the local disk, so that a restart needs no registry."""

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from everfit.blocks.errors import ArtifactError, LedgerError
from everfit.infra.serving.recorded_files import CheckedBy, RecordedFiles, is_listed
from everfit.tasks.core.answer_bounds import AnswerBounds
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.scoring.loading import fetch
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

_KEPT_VERSIONS = 3
_OF = "everfit-version.json"
_BOUNDS = "bounds.json"


class ModelCache:
    """Copies of the versions of one model.

    A copy counts only if each of its files has the digest of its download. A torn or half-deleted copy is downloaded
    again.

    Args:
        folder: Folder of one model.
        workspace: The workspace, which has the digests of registered versions; None if there is none to ask.
        signers: The signers in the spec of the model.
    """

    def __init__(self, folder: Path, workspace: Workspace | None = None, signers: Sequence[str] = ()) -> None:
        self.folder, self._recorded = folder, RecordedFiles(workspace, signers)
        folder.mkdir(parents=True, exist_ok=True)

    def fetch(self, client: "MlflowClient", version: ModelVersion) -> Path:
        """Return the folder of a version, and download it first if needed; only one process at a time does that.

        Raises:
            ArtifactError: The files in the registry are not those that were registered.
        """
        kept = self.folder / str(version.version)
        if self._has(version):
            return kept
        with (self.folder / "fetch.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self._has(version):  # another process may have downloaded it while this one waited
                return kept
            unfinished, old = (self.folder / f"{version.version}.{os.getpid()}{end}" for end in (".tmp", ".old.tmp"))
            _delete(unfinished)
            unfinished.mkdir()
            try:
                folder = fetch(client, version, unfinished, partial(self._recorded.check, client))
                self._recorded.keep(folder, version)
                (folder / _OF).write_text(version.canonical_json())
                if os.path.lexists(kept):  # by another name first: a reader must not see half of it
                    kept.rename(old)
                folder.replace(kept)
            finally:
                _delete(unfinished)
                _delete(old)
        return kept

    def checked_by(self, version: ModelVersion) -> CheckedBy:
        """Return what a version's files were checked against."""
        return self._recorded.checked_by(version)

    def remember(self, version: ModelVersion) -> None:
        """Remember the champion for the next start, and delete old versions."""
        path = self.folder / "champion.json"
        unfinished = path.with_suffix(f".{os.getpid()}.tmp")
        unfinished.write_text(version.canonical_json())
        unfinished.replace(path)
        kept = sorted((int(one.name) for one in self.folder.iterdir() if one.name.isdigit()), reverse=True)
        for number in [number for number in kept if number != version.version][_KEPT_VERSIONS:]:
            shutil.rmtree(self.folder / str(number), ignore_errors=True)

    def last_champion(self) -> tuple[ModelVersion, Path] | None:
        """Return the last served champion, if its copy is still whole.

        A copy that an earlier everfit made has no list of its files. It is served until the registry answers, unless
        versions must be signed.
        """
        path = self.folder / "champion.json"
        if not path.exists():
            return None
        version = ModelVersion.model_validate(json.loads(path.read_text()))
        kept = self.folder / str(version.version)
        whole = self._has(version) if is_listed(kept) else not self._recorded.wants_signatures()
        return (version, kept) if self._is_of(version) and whole else None

    def remember_bounds(self, bounds: Mapping[int, AnswerBounds]) -> None:
        """Remember the bounds of the newest versions' answers for the next start."""
        newest = {str(number): bounds[number].model_dump(mode="json") for number in sorted(bounds)[-_KEPT_VERSIONS:]}
        unfinished = self.folder / f"{_BOUNDS}.{os.getpid()}.tmp"
        unfinished.write_text(json.dumps(newest))
        unfinished.replace(self.folder / _BOUNDS)

    def last_bounds(self) -> dict[int, AnswerBounds]:
        """Return the bounds that were remembered; or none without readable ones, as the registry has them too."""
        try:
            kept = json.loads((self.folder / _BOUNDS).read_text())
            return {int(number): AnswerBounds.recall(one) for number, one in kept.items()}
        except (OSError, ValueError, AttributeError, LedgerError):
            return {}

    def is_checked(self, version: ModelVersion) -> bool:
        """Return whether the copy of a version has a list of its files."""
        return is_listed(self.folder / str(version.version))

    def _has(self, version: ModelVersion) -> bool:
        """Return whether there is a whole copy of exactly this version: another registry uses the same numbers."""
        if not self._is_of(version):
            return False
        try:
            self._recorded.check_copy(self.folder / str(version.version), version)
        except (ArtifactError, OSError) as error:
            logger.warning("%s: version %s is downloaded again: %s", version.model, version.version, error)
            return False
        return True

    def _is_of(self, version: ModelVersion) -> bool:
        try:
            return (self.folder / str(version.version) / _OF).read_text() == version.canonical_json()
        except (OSError, UnicodeDecodeError):
            return False


def _delete(path: Path) -> None:
    """Delete a folder, or what is in its place, such as a link to a disk that is gone."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
