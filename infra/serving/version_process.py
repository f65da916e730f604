"""Fetch or condense a version for a service: `python -m everfit.infra.serving.version_process WORK`.

WORK is one JSON object. The result of a download is one JSON object on standard output; that of condensing is the
content of a file.
"""

import json
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from everfit.blocks.errors import ArtifactError, ModelError
from everfit.tasks.core.records import ModelVersion


def main() -> None:
    """Do the work, and keep the libraries from writing to standard output."""
    out = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    work = json.loads(sys.argv[1])
    if work["niceness"]:
        os.nice(work["niceness"])
    version, folder = ModelVersion.model_validate(work["version"]), Path(work["folder"])
    result = _fetch(folder, version, work["signers"]) if work["do"] == "fetch" else _condense(folder, version, work)
    with os.fdopen(out, "wb") as stream:
        stream.write(result)


def _fetch(folder: Path, version: ModelVersion, signers: Sequence[str]) -> bytes:
    from everfit.blocks.settings import Settings
    from everfit.infra.serving.model_cache import ModelCache
    from everfit.tasks.registry.mlflow_client import tracking_client
    from everfit.tasks.storage.workspace import Workspace

    settings = Settings()
    cache = ModelCache(folder, Workspace(settings.workspace), signers)
    try:
        cache.fetch(tracking_client(settings), version)
    except Exception as error:  # noqa: BLE001 - the service says what became of the version
        text = str(error) if isinstance(error, ModelError | ArtifactError) else f"{type(error).__name__}: {error}"
        return json.dumps({"error": type(error).__name__, "message": text}).encode()
    return b"{}"


def _condense(folder: Path, version: ModelVersion, work: dict[str, Any]) -> bytes:
    from everfit.infra.serving.servable import warm_examples
    from everfit.tasks.models.skops_format import import_without_listing
    from everfit.tasks.scoring.condensed import condense

    import_without_listing()
    return condense(folder, version, work["name"], partial(warm_examples, folder))


if __name__ == "__main__":
    main()
