"""A connection without a token costs little: its bytes, headers and time are limited, and so is their number."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from uvicorn.server import ServerState

from everfit.infra.serving import connections
from everfit.infra.serving.connections import MOST_HEAD_BYTES, LimitedProtocol


@pytest.fixture
def service(registry: Any, serve: Any) -> Any:
    registry.champion("delays", registry.add("delays", "first"))
    return serve("delays")


@pytest.fixture
def connect(service: Any) -> Iterator[Callable[[], socket.socket]]:
    """Opens connections to the service."""
    at = urlsplit(service.url)
    with contextlib.ExitStack() as stack:

        def open_one() -> socket.socket:
            return stack.enter_context(socket.create_connection((str(at.hostname), int(at.port or 0)), timeout=20))

        yield open_one


def send_endlessly(sending: socket.socket, piece: bytes, most: int = 200 * 2**20) -> int:
    """Send pieces until the other side closes; return the number of bytes."""
    sent = 0
    with contextlib.suppress(OSError):
        while sent < most:
            sending.sendall(piece)
            sent += len(piece)
    return sent


def answer(receiving: socket.socket) -> bytes:
    """Return all that comes until the connection is closed."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := receiving.recv(65536):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize(
    ("beginning", "piece"),
    [
        (b"GET /", b"a" * 65_536),
        (b"GET / HTTP/1.1\r\nx: ", b"a" * 65_536),
        (b"GET / HTTP/1.1\r\n", b"x: a\r\n" * 10_000),
        (b"GET /health HTTP/1.1\r\nhost: here\r\n\r\nGET /", b"a" * 65_536),
        (b"", b"\r\n" * 30_000),
        (b"", b"GET /health HTTP/1.1\r\nhost: here\r\n\r\n" * 1_000),
    ],
    ids=["address", "header", "headers", "second address", "empty lines", "requests ahead"],
)
def test_heads_without_end_are_cut_off_and_delay_nobody(
    service: Any, connect: Callable[[], socket.socket], beginning: bytes, piece: bytes
) -> None:
    attacks = [connect() for _ in range(4)]
    sent: list[int] = []

    def attack(sending: socket.socket) -> None:
        sending.sendall(beginning)
        sent.append(send_endlessly(sending, piece))

    threads = [threading.Thread(target=attack, args=(sending,)) for sending in attacks]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    assert service.client.get("/health").status_code == 200
    assert time.monotonic() - began < 5
    for thread in threads:
        thread.join(30)

    assert len(sent) == 4
    assert max(sent) < 20 * 2**20  # what the sockets' buffers take, and no more


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nhost: here\r\n\r\n", b"414"),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 33_000 + b"\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\n" + b"x: a\r\n" * 105 + b"\r\n", b"431"),
    ],
    ids=["address", "header", "headers"],
)
def test_what_is_too_much_is_refused_with_a_reason(
    connect: Callable[[], socket.socket], head: bytes, status: bytes
) -> None:
    for size in (len(head), 1_000):  # at once, and in pieces
        sending = connect()
        with contextlib.suppress(ConnectionError):
            for start in range(0, len(head), size):
                sending.sendall(head[start : start + size])
        assert answer(sending).startswith(b"HTTP/1.1 " + status)


def test_what_is_just_allowed_is_answered(service: Any, connect: Callable[[], socket.socket]) -> None:
    lines = b"".join(b"x-%d: a\r\n" % number for number in range(97))
    head = b"GET /health HTTP/1.1\r\nhost: here\r\nconnection: close\r\n" + lines
    filler = b"y: " + b"a" * (MOST_HEAD_BYTES - len(head) - 9) + b"\r\n\r\n"
    for size in (100_000, 7):
        sending, request = connect(), head + filler
        for start in range(0, len(request), size):
            sending.sendall(request[start : start + size])
        assert answer(sending).startswith(b"HTTP/1.1 200")


def test_headers_and_connections_that_never_end_are_closed(
    connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LimitedProtocol, "head_seconds", 0.3)
    silent, half, trickling = connect(), connect(), connect()
    half.sendall(b"GET /health HTTP/1.1\r\nhost:")
    trickling.sendall(b"GET /health HTTP/1.1\r\n")
    stopped = threading.Event()

    def trickle() -> None:
        while not stopped.wait(0.05):
            try:
                trickling.sendall(b"x")
            except OSError:
                return

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        assert answer(silent) == b""
        assert answer(half).startswith(b"HTTP/1.1 408")
        assert b"408" in answer(trickling) or stopped.wait(0)
    finally:
        stopped.set()
        thread.join(10)


def test_idle_connections_make_room_for_requests(
    service: Any, connect: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch, good: dict[str, Any]
) -> None:
    monkeypatch.setattr(connections, "most_connections", lambda: 20)
    idle = [connect() for _ in range(60)]

    for _ in range(20):  # each on a connection of its own
        response = httpx.post(f"{service.url}/models/delays/predict", json={"records": [good]})
        assert response.status_code == 200
    assert answer(idle[0]) == b""


def test_clients_and_proxies_close_an_idle_connection_before_the_service_does() -> None:
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        made = LimitedProtocol(uvicorn.Config(print, http=LimitedProtocol), ServerState(), {}, loop)

    assert made.timeout_keep_alive > 60  # of nginx and of the load balancers of clouds


def test_a_refused_body_without_end_is_cut_off(connect: Callable[[], socket.socket]) -> None:
    sending = connect()
    sending.sendall(b"POST /models/none/predict HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n")

    assert send_endlessly(sending, b"10000\r\n" + b"a" * 65_536 + b"\r\n") < 60 * 2**20


def test_requests_that_are_sent_ahead_are_answered_in_their_order(connect: Callable[[], socket.socket]) -> None:
    sending = connect()
    ahead = b"GET /nothing HTTP/1.1\r\nhost: here\r\n\r\n" * connections.MOST_AHEAD
    sending.sendall(ahead + b"GET /health HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n")

    answers = answer(sending).split(b"HTTP/1.1 ")[1:]

    assert [one[:3] for one in answers] == [b"404"] * connections.MOST_AHEAD + [b"200"]


def test_many_requests_on_one_connection_are_answered(service: Any, good: dict[str, Any]) -> None:
    for _ in range(150):
        assert service.client.post("/models/delays/predict", json={"records": [good]}).status_code == 200
