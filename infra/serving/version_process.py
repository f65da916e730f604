"""Fetch or condense a version for a service: `python -m everfit.infra.serving.version_process NICENESS`.

It reads each work from its standard input as one line of JSON, and writes its result to its standard output behind a
head with the length: of a download one JSON object, of condensing the content of a file. It ends with its input.
"""

import gc
import importlib
import json
import os
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from everfit.blocks.errors import ArtifactError, ModelError
from everfit.infra.serving.apart import LENGTH
from everfit.tasks.core.records import ModelVersion


def main() -> None:
    """Do the work, and keep the libraries from writing to standard output."""
    out = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    os.nice(int(sys.argv[1]))
    gc.disable()  # it ends before there is much garbage
    ready = threading.Thread(target=_import_all)
    ready.start()  # nobody may have work yet
    with os.fdopen(out, "wb") as stream:
        for line in sys.stdin:
            ready.join()
            result = _do(json.loads(line))
            stream.write(LENGTH.pack(len(result)) + result)
            stream.flush()
            gc.collect()


def _do(work: dict[str, Any]) -> bytes:
    version, folder = ModelVersion.model_validate(work["version"]), Path(work["folder"])
    return _fetch(folder, version, work["signers"]) if work["do"] == "fetch" else _condense(folder, version, work)


def _import_all() -> None:
    """Import what condensing needs; skops first, because it looks through all modules that there are."""
    from everfit.tasks.models.skops_format import import_without_listing

    import_without_listing()
    for name in ("sklearn.ensemble", "sklearn.compose", "sklearn.linear_model", "everfit.infra.serving.servable"):
        importlib.import_module(name)


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
    from everfit.tasks.scoring.condensed import condense

    return condense(folder, version, work["name"], partial(warm_examples, folder))


if __name__ == "__main__":
    main()
