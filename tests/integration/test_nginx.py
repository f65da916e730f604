"""The proxy's example: what one service can't answer another one is asked, and nothing twice that may be on record."""

import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from support.s3 import free_port

NGINX = shutil.which("nginx")
EXAMPLE = Path(__file__).parents[2] / "infra" / "nginx" / "everfit.conf"

pytestmark = pytest.mark.skipif(NGINX is None, reason="no nginx on this machine: apt-get install nginx-light")


class Service:
    """Answers as it is told to: `good`, `busy` (503), or it cuts requests off (`cut`)."""

    def __init__(self) -> None:
        service, self.mood, self.asked = self, "good", 0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                service.asked += 1
                if service.mood == "cut":
                    self.close_connection = True
                    return
                self.send_response(503 if service.mood == "busy" else 200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


Ask = Callable[[bytes], httpx.Response]


@pytest.fixture
def services() -> Iterator[tuple[Service, Service]]:
    results = Service(), Service()
    yield results
    for one in results:
        one.stop()


@pytest.fixture
def ask(services: tuple[Service, Service], tmp_path: Path) -> Iterator[Ask]:
    """Asks the example's prediction service, without TLS and at ports of its own."""
    text, port = EXAMPLE.read_text(), free_port()
    text = re.sub(r"^ssl_.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"listen (80|443 ssl);", f"listen 127.0.0.1:{port};", text)
    for given, one in zip(("8080", "8081"), services, strict=True):
        text = text.replace(f"127.0.0.1:{given}", f"127.0.0.1:{one.port}")
    folders = "".join(
        f"{name}_temp_path {tmp_path / name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;" if os.geteuid() == 0 else ""  # whose the test's folder is
    own = f"{user} daemon off; pid {tmp_path / 'pid'}; error_log {tmp_path / 'log'}; events {{}}"
    (tmp_path / "nginx.conf").write_text(f"{own} http {{ access_log off; {folders} {text} }}")
    assert NGINX is not None
    running = subprocess.Popen([NGINX, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")])
    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"host": "predict.example.com"}, timeout=10)
    give_up = time.monotonic() + 20
    while True:
        try:
            client.get("/metrics")
            break
        except httpx.ConnectError:
            assert time.monotonic() < give_up, (tmp_path / "log").read_text()
            time.sleep(0.02)
    yield lambda body: client.post("/invocations", content=body)
    client.close()
    running.terminate()
    running.wait(20)


def test_what_a_service_is_too_busy_for_another_one_answers(ask: Ask, services: tuple[Service, Service]) -> None:
    services[0].mood = "busy"
    body = b"x" * 200_000  # more than nginx keeps in memory

    answers = [ask(body) for _ in range(8)]

    assert [answer.status_code for answer in answers] == [200] * 8
    assert all(answer.content == body for answer in answers)
    assert services[0].asked > 0

    services[1].mood = "busy"  # both say so themselves, as long as they do
    assert [ask(b"x").status_code for _ in range(4)] == [503] * 4
    services[1].mood = services[0].mood = "good"
    assert [ask(b"x").status_code for _ in range(4)] == [200] * 4


def test_a_request_that_was_cut_off_is_not_asked_again(ask: Ask, services: tuple[Service, Service]) -> None:
    for one in services:
        one.mood = "cut"

    assert ask(b"x").status_code == 502
    assert sum(one.asked for one in services) == 1


def test_a_service_that_is_down_is_passed_over(ask: Ask, services: tuple[Service, Service]) -> None:
    services[0].stop()

    assert [ask(b"x").status_code for _ in range(4)] == [200] * 4
