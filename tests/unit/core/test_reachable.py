"""A server that is gone is reported at once."""

import os
import socket
import socketserver
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from everfit.blocks.errors import ModelError
from everfit.blocks.settings import Settings
from everfit.tasks.core.reachable import why_unreachable
from everfit.tasks.registry.mlflow_client import check_tracking


@pytest.fixture
def gone() -> str:
    """An address at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/api"


def test_who_listens_is_reached(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert why_unreachable(f"http://127.0.0.1:{server.getsockname()[1]}/api", 0.1) is None
    assert why_unreachable(gone) == "Connection refused"
    assert why_unreachable("http://nobody.invalid/api")
    assert why_unreachable("sqlite:///mlflow.db") is None
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    assert why_unreachable("http://nobody.invalid/api") is None  # the proxy may know it


@pytest.mark.parametrize(("status", "problem"), [(502, "HTTP status 502 Bad Gateway"), (404, None), (500, None)])
def test_a_gateway_whose_server_is_gone(status: int, problem: str | None) -> None:
    class Gateway(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep the terminal quiet."""

    with HTTPServer(("127.0.0.1", 0), Gateway) as gateway:
        thread = threading.Thread(target=gateway.serve_forever, args=(0.01,))
        thread.start()
        found = why_unreachable(f"http://127.0.0.1:{gateway.server_port}/api", 10)
        gateway.shutdown()
        thread.join()
    assert found == problem


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\n<html>a page</html>", "it answers, but not as MLflow does;"),
        (b'HTTP/1.0 404 Not Found\r\n\r\n{"detail": "Not Found"}', r"\(HTTP status 404 Not Found\);"),
        (b"HTTP/1.0 501 Unsupported\r\n\r\n", r"\(HTTP status 501 Unsupported\);"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", r"does not speak HTTP \(BadStatusLine\);"),
        (b'HTTP/1.0 200 OK\r\n\r\n{"experiments": []}', ""),
        (b'HTTP/1.0 404 Not Found\r\n\r\n{"error_code": "RESOURCE_DOES_NOT_EXIST"}', ""),
        (b"HTTP/1.0 401 Unauthorized\r\n\r\n", ""),
        (b"HTTP/1.0 500 Oops\r\n\r\n", ""),
    ],
)
def test_a_server_that_is_no_mlflow_is_named_at_once(answer: bytes, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Server(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_address[1]}")
        started = time.monotonic()
        with pytest.raises(ModelError, match=f"is no MLflow: .*{said}") if said else nullcontext():
            check_tracking(Settings())
        server.shutdown()
        thread.join()
    assert time.monotonic() - started < 2


def test_an_mlflow_that_is_gone_is_reported_at_once(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", gone)
    started = time.monotonic()
    with pytest.raises(ModelError, match=rf"MLflow at {gone} does not answer: Connection refused; start it, or set "):
        check_tracking(Settings())
    assert time.monotonic() - started < 2


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "PREFECT_API_URL"])
def test_a_command_reports_it_before_it_imports_what_takes_seconds(gone: str, variable: str) -> None:
    """A command takes two seconds of the processor to import Prefect and pandas."""
    script = """
import sys
from datetime import UTC, datetime
from everfit.blocks.errors import EverfitError
from everfit.deployments.cli import runs
try:
    runs.run_turn("no.yaml", datetime(2024, 1, 1, tzinfo=UTC), "")
except EverfitError as error:
    print(error)
print(sorted({"mlflow", "pandas", "prefect", "sklearn"} & {*sys.modules}))
"""
    left = {name: value for name, value in os.environ.items() if name not in {"MLFLOW_TRACKING_URI", "PREFECT_API_URL"}}
    done = subprocess.run(
        [sys.executable, "-c", script], env=left | {variable: gone}, capture_output=True, text=True, check=True
    )
    problem, imported = done.stdout.splitlines()
    assert f"at {gone} does not answer: Connection refused; start it, or " in problem
    assert imported == "[]"
