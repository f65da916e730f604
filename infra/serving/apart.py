"""Fetch a version and condense it in a process of its own (`version_process.py`).

That needs MLflow's client, scikit-learn and skops. A service that has imported them would hold a few hundred megabytes
for as long as it runs, and would answer nothing while it imports them.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from everfit.blocks.errors import ArtifactError, ModelError
from everfit.tasks.core.records import ModelVersion

_PROGRAM = "everfit.infra.serving.version_process"

_ENDS_WITHIN = 600.0
"""Seconds after which a process that fetches or condenses is taken for stuck."""
_NICENESS = 10
"""The version that is served has precedence."""


class ApartError(ModelError):
    """The process did not do its work, for a reason that is no fault of the version."""


def fetch_apart(folder: Path, version: ModelVersion, signers: Sequence[str], *, serves: bool) -> None:
    """Bring a version's files into the copies of its model.

    Args:
        folder: Folder of the copies.
        version: The version.
        signers: The signers in the spec of the model.
        serves: Whether another version answers meanwhile.

    Raises:
        ArtifactError: The files in the registry are not those that were registered.
        ModelError: They can't be read.
        ApartError: The process ended without a word.
    """
    work = {"do": "fetch", "folder": str(folder), "version": version.model_dump(mode="json"), "signers": [*signers]}
    said = json.loads(_run(work, serves=serves) or b"{}")
    if said.get("error") == ArtifactError.__name__:
        raise ArtifactError(said["message"])
    if "error" in said:
        raise ModelError(said["message"])


def condense_apart(folder: Path, version: ModelVersion, name: str, *, serves: bool) -> bytes:
    """Return what a version answers by, as `everfit.tasks.scoring.condensed.condense` does.

    Args:
        folder: Checked copy of the version's files.
        version: The version.
        name: Name of exactly these files.
        serves: Whether another version answers meanwhile.

    Raises:
        ApartError: The version can't be condensed, such as one that is broken.
    """
    work = {"do": "condense", "folder": str(folder), "version": version.model_dump(mode="json"), "name": name}
    return _run(work, serves=serves)


def _run(work: dict[str, Any], *, serves: bool) -> bytes:
    command = [sys.executable, "-P", "-m", _PROGRAM, json.dumps({**work, "niceness": _NICENESS if serves else 0})]
    # The other process can import the same modules, such as one with a class of the operator's own.
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        ran = subprocess.run(  # noqa: S603 - our own command
            command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=given, timeout=_ENDS_WITHIN, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ApartError(f"the process for {work['do']!r} did not end its work: {error}") from error
    if ran.returncode:
        raise ApartError(f"the process for {work['do']!r} ended with code {ran.returncode}; its output says why")
    return ran.stdout
