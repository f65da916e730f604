"""Copies of model versions on the local disk, so that a restart needs no registry."""

import contextlib
import fcntl
import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from everfit.blocks.errors import ArtifactError, LedgerError, ModelError
from everfit.infra.serving.apart import CONDENSED, Processes
from everfit.infra.serving.recorded_files import CheckedBy, RecordedFiles, files_name, is_listed
from everfit.tasks.core.answer_bounds import AnswerBounds
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.registry.local_copy import LocalFiles, copy_local
from everfit.tasks.scoring.condensed import read_condensed
from everfit.tasks.scoring.fast_path.answering import WithoutPipeline
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
        apart: The processes in which versions are fetched and condensed, so that this one needs no MLflow and, for most
            versions, no scikit-learn; by default this one does both.
    """

    def __init__(
        self,
        folder: Path,
        workspace: Workspace | None = None,
        signers: Sequence[str] = (),
        *,
        apart: Processes | None = None,
    ) -> None:
        self.folder, self._recorded = folder, RecordedFiles(workspace, signers)
        self._signers, self.apart = signers, apart
        folder.mkdir(parents=True, exist_ok=True)

    def fetch(self, client: "MlflowClient", version: ModelVersion) -> Path:
        """Return the folder of a version, and download it first if needed; only one process at a time does that.

        Raises:
            ArtifactError: The files in the registry are not those that were registered.
        """
        check = partial(self._recorded.check, client)
        return self._kept(version, lambda unfinished: fetch(client, version, unfinished, check))

    def _kept(self, version: ModelVersion, bring: Callable[[Path], Path]) -> Path:
        """Return the folder of a version, which a function brings into a folder first if needed."""
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
                folder = bring(unfinished)
                self._recorded.keep(folder, version)
                (folder / _OF).write_text(version.canonical_json())
                if os.path.lexists(kept):  # by another name first: a reader must not see half of it
                    kept.rename(old)
                folder.replace(kept)
            finally:
                _delete(unfinished)
                _delete(old)
        return kept

    def fetch_apart(self, apart: Processes, version: ModelVersion, files: LocalFiles | None, *, serves: bool) -> Path:
        """Return the folder of a version; another process downloads it first if needed and not on this machine.

        Args:
            apart: Starts the process.
            version: The version.
            files: Where its files are, if that is on this machine.
            serves: Whether another version answers meanwhile.

        Raises:
            ArtifactError: The files in the registry are not those that were registered.
            ModelError: They can't be read.
        """
        if files is not None:
            check = partial(self._recorded.check_by_tags, files.tags)
            with contextlib.suppress(OSError):  # MLflow's client says what is wrong with them
                return self._kept(version, lambda unfinished: copy_local(files, version, unfinished, check))
        if not self._has(version):
            apart.fetch(self.folder, version, self._signers, serves=serves)
            if not self._has(version):
                raise ModelError(f"version {version.version} of {version.model!r} was downloaded, and is not there")
        return self.folder / str(version.version)

    def condensed(self, version: ModelVersion, *, serves: bool) -> WithoutPipeline | None:
        """Return what answers in place of a version's pipeline; None if the pipeline has to be loaded.

        It is kept beside the copy. Where versions must be signed, only the copy's files are, so it is made again.

        Args:
            version: The version, whose copy was checked.
            serves: Whether another version answers meanwhile.
        """
        copy = self.folder / str(version.version)
        if self.apart is None or not is_listed(copy):
            return None
        name, kept = files_name(copy), self.folder / f"{version.version}{CONDENSED}"
        if not self._recorded.wants_signatures():
            with contextlib.suppress(OSError, ValueError):
                return read_condensed(kept.read_bytes(), name)
        try:
            content = self.apart.condense(copy, version, name, serves=serves)
            found = read_condensed(content, name)
        except (ModelError, ValueError) as error:
            logger.warning("%s: version %s is loaded with its pipeline: %s", version.model, version.version, error)
            return None
        unfinished = self.folder / f"{version.version}.{os.getpid()}.tmp"
        unfinished.write_bytes(content)
        unfinished.replace(kept)
        return found

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
            (self.folder / f"{number}{CONDENSED}").unlink(missing_ok=True)

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
