"""Services behind one name: a release is verified, and operations are watched, on each of them."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from everfit.blocks.monitoring import MonitoringPolicy
from everfit.blocks.releasing import ReleasePolicy
from everfit.tasks.monitoring.signals.service_health import read_services
from everfit.tasks.release import serving_verification
from everfit.tasks.release.service_addresses import addresses_of

Pods = dict[str, int]
"""The version that each address serves."""


@pytest.fixture
def pods(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Pods], str]]:
    """Starts a service on each address, at one port, and lets the name `pods` resolve to all of them."""
    running: list[ThreadingHTTPServer] = []
    resolve = socket.getaddrinfo

    def start(serving: Pods) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host = self.request.getsockname()[0]
                reported: Any = {"version": serving[host]} if self.path == "/models/delays" else {}
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps(reported).encode())

            def log_message(self, *_: Any) -> None:
                pass

        port = 0
        for host in serving:
            server = ThreadingHTTPServer((host, port), Handler)
            port = server.server_address[1]
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            running.append(server)

        def resolved(host: str, *given: Any, **named: Any) -> Any:
            if host != "pods":
                return resolve(host, *given, **named)
            return [result for one in serving for result in resolve(one, *given, **named)]

        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        return f"dns+http://pods:{port}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def why(service: str, monkeypatch: pytest.MonkeyPatch, within: float = 0.0) -> str | None:
    monkeypatch.setattr(serving_verification.model_registry, "champion", lambda *_: SimpleNamespace(version=2))
    return serving_verification.why_not_served(None, "delays", 2, [service], timedelta(seconds=within))  # type: ignore[arg-type]


def test_a_release_is_done_when_each_address_serves_it(
    pods: Callable[[Pods], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = {"127.0.0.1": 2, "127.0.0.2": 1}
    service = pods(serving)

    problem = why(service, monkeypatch)
    assert problem is not None
    assert problem.startswith(f"{service} at http://127.0.0.2:")
    assert problem.endswith("serves version 1")
    serving["127.0.0.2"] = 2
    assert why(service, monkeypatch) is None


def test_a_pod_that_goes_while_it_is_waited_for_is_waited_for_no_longer(
    pods: Callable[[Pods], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = {"127.0.0.1": 2, "127.0.0.2": 1}
    service = pods(serving)
    threading.Timer(0.2, serving.pop, ["127.0.0.2"]).start()

    assert why(service, monkeypatch, within=10) is None


def test_each_address_is_watched(pods: Callable[[Pods], str]) -> None:
    service = pods({"127.0.0.1": 2, "127.0.0.2": 1})

    result = read_services([service], "delays", MonitoringPolicy(), datetime.now(UTC))

    assert [one.name.partition(":")[0] for one in result] == ["127.0.0.1", "127.0.0.2"]


def test_a_name_without_an_address_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    service = "dns+http://nowhere.invalid:8080"
    assert "has no address" in str(why(service, monkeypatch))
    (reported,) = read_services([service], "delays", MonitoringPolicy(), datetime.now(UTC))
    assert reported.problem is not None
    assert "has no address" in reported.problem


def test_only_a_name_that_the_spec_says_so_of_is_taken_apart() -> None:
    assert addresses_of("http://localhost:8080") == ["http://localhost:8080"]
    assert ReleasePolicy(services=("dns+http://pods:8080/",)).services == ("dns+http://pods:8080",)
    with pytest.raises(ValidationError, match="is not the URL of a service"):
        ReleasePolicy(services=("dns+https://pods:8080",))  # a certificate is of a name, not of an address
