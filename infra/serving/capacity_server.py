"""Serve fixed versions by the service's own code on one core: `python -m everfit.infra.serving.capacity_server FOLDER`.

FOLDER has `versions.json` with each version and the folder of its files, which were checked, by the name of its
endpoint. It gets the log of the predictions. Without a registry to ask, the program starts in half the time. It writes
its port as one line when all versions answer. For each line on standard input it writes the seconds of the processor
that it has used so far; it ends with the input.
"""

import json
import os
import socket
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import ModelError
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.models.skops_format import import_without_listing

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from everfit.infra.serving.endpoint import Endpoint

VERSIONS_FILE = "versions.json"


def make_endpoints(folder: Path) -> "dict[str, Endpoint]":
    """Return an endpoint for each version, which follows no registry and logs into the folder.

    Args:
        folder: The folder with the versions.
    """
    from everfit.infra.serving.endpoint import Endpoint
    from everfit.infra.serving.servable import load_servable
    from everfit.tasks.storage.tables import Table

    endpoints = {}
    for name, content in json.loads((folder / VERSIONS_FILE).read_text(encoding="utf-8")).items():
        version, own = ModelVersion.model_validate(content["version"]), folder / name
        servable = load_servable(Path(content["folder"]), version)
        endpoint = Endpoint(name, _no_registry, own / "state", Table(str(own / "log")), Table(str(own / "labels")))
        endpoint.take_over(servable)
        endpoints[name] = endpoint
    return endpoints


def _no_registry() -> "MlflowClient":
    raise ModelError("a check of the capacity serves fixed versions")


def serve(endpoints: "Mapping[str, Endpoint]") -> None:
    """Serve until standard input ends.

    Args:
        endpoints: The endpoints by name.
    """
    import uvicorn

    from everfit.infra.serving.access import Tokens
    from everfit.infra.serving.app import create_app
    from everfit.infra.serving.connections import LimitedProtocol

    class Announcing(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            _say(self.servers[0].sockets[0].getsockname()[1])

    config = uvicorn.Config(
        create_app(endpoints, Tokens(None)),
        host="127.0.0.1",
        port=0,
        http=LimitedProtocol,
        access_log=False,
        log_level="critical",
        server_header=False,
    )
    server = Announcing(config)

    def answer() -> None:
        for _ in sys.stdin:
            times = os.times()
            _say(times.user + times.system)
        server.should_exit = True

    threading.Thread(target=answer, daemon=True).start()
    server.run()


def _say(value: Any) -> None:
    assert sys.__stdout__ is not None  # noqa: S101 - the process was made with one
    sys.__stdout__.write(f"{value}\n")
    sys.__stdout__.flush()


def main() -> None:
    """Stay on one core where the system allows that, and serve."""
    import_without_listing()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    sys.setswitchinterval(0.001)  # as the service
    sys.stdout = sys.stderr
    serve(make_endpoints(Path(sys.argv[1])))


if __name__ == "__main__":
    main()
