"""Copy the files of a version that MLflow keeps in a folder of this machine, without MLflow."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from everfit.tasks.core.records import ModelVersion
from everfit.tasks.models.artifacts import CONVERTED_FILE, DETECTOR_FILE, copy_digests
from everfit.tasks.models.released_format import FORMAT_TAG
from everfit.tasks.scoring.loading import Check


@dataclass(frozen=True)
class LocalFiles:
    """Where the files of a version are.

    Attributes:
        model: Folder of the model.
        run: Folder of its run's artifacts; None without a run.
        tags: Tags of the version.
    """

    model: Path
    run: Path | None
    tags: Mapping[str, str]


def local_files(model: str | None, run: str | None, tags: Mapping[str, str]) -> LocalFiles | None:
    """Return where the files of a version are, if all of them are on this machine.

    Args:
        model: Address of the model.
        run: Address of its run's artifacts; None without a run.
        tags: Tags of the version.
    """
    folder, of_run = _folder(model), _folder(run)
    if folder is None or (run is not None and of_run is None):
        return None
    return LocalFiles(folder, of_run, tags)


def copy_local(files: LocalFiles, version: ModelVersion, to: Path, check: Check) -> Path:
    """Copy the files by which a version predicts, as `everfit.tasks.scoring.loading.fetch` downloads them.

    Args:
        files: Where they are.
        version: The version.
        to: Empty folder for the copy.
        check: Function that refuses files that are not the recorded ones.

    Returns:
        Folder of the copy.

    Raises:
        ArtifactError: The files are not those that were recorded.
        OSError: A file is not there, or can't be read.
    """
    copied = to / "model"
    shutil.copytree(files.model, copied)
    wanted = {DETECTOR_FILE: False, CONVERTED_FILE: files.tags.get(FORMAT_TAG) == "onnx"}
    for name, is_needed in wanted.items():
        if files.run is not None and (is_needed or (name == DETECTOR_FILE and (files.run / name).exists())):
            shutil.copyfile(files.run / name, copied / Path(name).name)
    check(version, copy_digests(copied))
    return copied


def _folder(address: str | None) -> Path | None:
    """Return the folder of an address of this machine."""
    parts = urlsplit(address or "")
    if parts.scheme not in {"", "file"} or parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
        return None
    return Path(unquote(parts.path) if parts.scheme else parts.path)
