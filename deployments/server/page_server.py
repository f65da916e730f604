"""Serve the pages of models from the workspace, a folder or S3, and nothing else of it."""

import base64
import hmac
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from everfit.blocks.errors import DeploymentError, WorkspaceError
from everfit.tasks.core.hosts import is_loopback
from everfit.tasks.pages.overview_page import overview_page
from everfit.tasks.pages.writing import FOLDER
from everfit.tasks.storage.workspace import Workspace

logger = logging.getLogger("everfit.pages")

_TYPES = {"html": "text/html; charset=utf-8", "json": "application/json"}
_PAGE = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9_-]*/)*[a-z0-9][A-Za-z0-9_-]*\.(html|json)")
"""Names of files that the pages have: no dots that lead out of the folder, and no hidden files."""
_HEADERS = {
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_MISSING = (404, "text/plain", b"there is no such page\n")
_UNREADABLE = (503, "text/plain", b"the pages can't be read from the workspace; the log says why\n")
_LOGIN = {"WWW-Authenticate": 'Basic realm="everfit"'}


def page_server(workspace: Workspace, host: str, port: int, login: str | None = None) -> ThreadingHTTPServer:
    """Return a server of the pages, bound to an address; `serve_forever` runs it.

    Args:
        workspace: The workspace that has the pages.
        host: The address to listen at.
        port: The port; 0 for any free one.
        login: The user and the password that a reader must give, as `user:password`; None lets everybody read.

    Raises:
        DeploymentError: Other machines could read the pages without a login.
    """
    if login is None and not is_loopback(host):
        raise DeploymentError(
            f"other machines would read the pages at {host!r} without a login; set EVERFIT_PAGES_LOGIN=user:password, "
            "or serve them at 127.0.0.1"
        )

    def find(path: str) -> tuple[int, str, bytes]:
        name = unquote(urlsplit(path).path).lstrip("/")
        name = f"{name}index.html" if not name or name.endswith("/") else name
        if (fits := _PAGE.fullmatch(name)) is None:
            return _MISSING
        try:
            return 200, _TYPES[fits[1]], workspace.read(workspace.file(FOLDER, *name.split("/")))
        except (WorkspaceError, NotADirectoryError):
            return (200, _TYPES["html"], _no_models()) if name == "index.html" else _MISSING
        except Exception as error:  # noqa: BLE001 - whatever the store raises while it is away or refuses
            logger.error("the pages can't be read from the workspace: %s", error)
            return _UNREADABLE

    return ThreadingHTTPServer((host, port), _handler(find, login))


def _no_models() -> bytes:
    """Return the page of all models before the first flow has written it."""
    return overview_page({"written_at": datetime.now(UTC).isoformat(), "models": {}}).encode()


def _handler(find: Callable[[str], tuple[int, str, bytes]], login: str | None) -> type[BaseHTTPRequestHandler]:
    wanted = None if login is None else f"Basic {base64.b64encode(login.encode()).decode()}"

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "everfit", ""

        def do_GET(self) -> None:
            """Answer with a page."""
            self._answer(whole=True)

        def do_HEAD(self) -> None:
            """Answer without the page itself."""
            self._answer(whole=False)

        def _answer(self, *, whole: bool) -> None:
            given = self.headers.get("Authorization", "")
            if wanted is not None and not hmac.compare_digest(given.encode(), wanted.encode()):
                self._send(401, "text/plain", b"a login is needed\n", whole, _LOGIN)
            else:
                self._send(*find(self.path), whole, {})

        def _send(self, status: int, kind: str, content: bytes, whole: bool, more: dict[str, str]) -> None:
            self.send_response(status)
            headers = {"Content-Type": kind, "Content-Length": str(len(content)), **_HEADERS, **more}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if whole:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Log nothing: the addresses hold names of models."""

    return Handler
