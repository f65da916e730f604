"""Releases of the model `flights`, and a service that says which version it answers with."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from mlflow import MlflowClient

from everfit.tasks.ledger import Ledger, Release
from everfit.tasks.registry import model_registry
from everfit.tasks.release.release import reconcile, release


class Service:
    """Answers `GET /models/flights` as the prediction service does."""

    def __init__(self, answer: Callable[[], dict[str, object]]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                result = self.path == "/models/flights"
                self.send_response(200 if result else 404)
                self.end_headers()
                self.wfile.write(json.dumps(answer() if result else {}).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def promote(ledger: Ledger, client: MlflowClient, version: int, **more: Any) -> Release:
    current = ledger.releases.current("flights")
    arguments = {"expected_previous": current.seq if current else None, "reason": "better", "actor": "gate"}
    return release(ledger, client, "flights", version, **(arguments | more))


def aliased(client: MlflowClient) -> int | None:
    result = model_registry.champion(client, "flights")
    return result.version if result else None


def agree(ledger: Ledger, client: MlflowClient, version: int) -> None:
    current = ledger.releases.current("flights")
    result = model_registry.model_version(client, "flights", version)
    assert current is not None
    assert (current.version, current.state, aliased(client)) == (version, "verified", version)
    assert (current.run_id, current.snapshot_digest) == (result.run_id, result.snapshot_digest)
    assert reconcile(ledger, client, "flights") == []
