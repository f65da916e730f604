"""Receivers of notifications on this machine: a web hook and a mail server, as the services have them."""

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qsl


class WebHook(ThreadingHTTPServer):
    """A web hook, what it got, and the status that it answers with."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Posted)
        self.received: list[dict[str, Any]] = []
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class _Posted(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        hook = cast("WebHook", self.server)
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if hook.status == 200:
            hook.received.append(content)
        self.send_response(hook.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """The test has what it wants to know."""


class MailServer(socketserver.ThreadingTCPServer):
    """A mail server that takes every mail, and what it got."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Mailed)
        self.received: list[Message] = []

    @property
    def url(self) -> str:
        """The address as Apprise writes it."""
        return f"mailto://127.0.0.1:{self.server_address[1]}?from=everfit@example.com&to=team@example.com"


class _Mailed(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self._say("220 here")
        while line := self.rfile.readline():
            verb = line.strip().upper()[:4]
            if verb == b"DATA":
                self._say("354 go on")
                lines = iter(self.rfile.readline, b".\r\n")
                cast("MailServer", self.server).received.append(message_from_bytes(b"".join(lines)))
            self._say("221 bye" if verb == b"QUIT" else "250 fine")
            if verb == b"QUIT":
                return

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    """Serve in a thread."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class AnyPost(ThreadingHTTPServer):
    """A receiver of posts of any form, and their texts."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Text)
        self.received: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


class _Text(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        is_json = "json" in self.headers["Content-Type"]
        parts = _texts(json.loads(text)) if is_json else (value for _, value in parse_qsl(text))
        cast("AnyPost", self.server).received.append("\n".join(parts))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "success"}')

    def log_message(self, *_: object) -> None:
        """The test has what it wants to know."""


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)
    elif isinstance(value, str):
        yield value
