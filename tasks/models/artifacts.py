"""The digests of a version's files, and how files differ from those that were recorded. Pure, but for reading files.

A file is named by its place in MLflow: `model/…` in the model's own folder, and `reference/…` or `converted/…` among
the artifacts of the version's run.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

Digests = Mapping[str, str]
"""SHA-256 in hexadecimal digits, by name of the file."""

MODEL_PREFIX = "model/"
DETECTOR_FILE, CONVERTED_FILE = "reference/outliers.json", "converted/model.onnx"
"""Artifacts of the run that a version predicts with; they are kept beside the files of the model's own folder."""

IGNORED = frozenset({"registered_model_meta", "everfit-version.json", "everfit-files.json"})
"""Files that MLflow or the service adds to a copy, and that nobody loads a model from."""

_SHOWN = 3


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def copy_digests(folder: Path) -> dict[str, str]:
    """Return the digests of a version's copy: the model's own folder, with the run's artifacts beside its files."""
    beside = {Path(name).name: name for name in (DETECTOR_FILE, CONVERTED_FILE)}
    digests = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if path.is_file() and relative not in IGNORED:
            digests[beside.get(relative, f"{MODEL_PREFIX}{relative}")] = file_digest(path)
    return digests


def needed_to_predict(recorded: Digests) -> dict[str, str]:
    """Return the recorded files that a version predicts with; the others describe its training data."""
    return {
        name: digest
        for name, digest in recorded.items()
        if name.startswith(MODEL_PREFIX) or name in {DETECTOR_FILE, CONVERTED_FILE}
    }


def overall_digest(files: Digests) -> str:
    """Return one digest of the files that a version predicts with, in the form of the version's tag."""
    listed = json.dumps(sorted(needed_to_predict(files).items()), separators=(",", ":"))
    return f"sha256:{hashlib.sha256(listed.encode()).hexdigest()}"


def differences(digests: Digests, recorded: Digests) -> list[str]:
    """Return how files differ from those that were recorded, in words; empty if they are the same.

    Args:
        digests: The files as they are.
        recorded: The files as they were recorded.
    """
    changed = [
        f"{name!r} has SHA-256 {digests[name][:12]}…, and {recorded[name][:12]}… was recorded"
        for name in sorted(digests.keys() & recorded.keys())
        if digests[name] != recorded[name]
    ]
    missing = [f"{name!r} is missing" for name in sorted(recorded.keys() - digests.keys())]
    added = [f"{name!r} was added" for name in sorted(digests.keys() - recorded.keys())]
    return [*changed, *missing, *added]


def changed_files_error(model: str, version: int, problems: Iterable[str]) -> str:
    """Return the error about a version whose files differ: what happened, which files, and what to do next."""
    listed = list(problems)
    shown = "; ".join(listed[:_SHOWN]) + (f"; and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else "")
    return (
        f"the files of version {version} of {model!r} in MLflow's store are not those that were registered: {shown}. "
        f"The version is not loaded. Find out who changed them; restore the files from a backup, or release another "
        f"version by `everfit rollback` or `everfit train --replace-broken-champion`; then check with "
        f"`everfit verify {model}`"
    )
