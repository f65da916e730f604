"""Sources on the web, read from a real HTTP server."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest
from support.sales_sources import check, read
from support.turns import sales

from everfit.blocks.errors import SourceError


class Api(BaseHTTPRequestHandler):
    """Gives the sales page by page, in the way that the path names, after as many failures as it is told."""

    rows: ClassVar[list[dict[str, Any]]] = []
    failures: ClassVar[list[int]] = []
    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        Api.asked.append((self.path, self.headers.get("authorization")))
        if Api.failures:
            self.send_response(Api.failures.pop(0))
            self.send_header("retry-after", "0")
            self.send_header("location", "/elsewhere")
            self.end_headers()
            return
        rows = [row for row in Api.rows if query.get("from", "") <= row["at"] < query.get("to", "9")]
        start = int(query.get("cursor", query.get("page", "0")))
        start *= 50 if parts.path == "/pages" else 1
        page, following = rows[start : start + 50], start + 50 if start + 50 < len(rows) else None
        body = {"data": {"items": page}, "meta": {"next": following}}
        content = json.dumps(page if parts.path == "/links" else body).encode()
        self.send_response(200)
        if parts.path == "/links" and following:
            self.send_header("link", f'</links?cursor={following}&from={query["from"]}&to={query["to"]}>; rel="next"')
        if parts.path == "/astray":
            content = json.dumps([]).encode()
            self.send_header("link", '<https://elsewhere.example/>; rel="next"')
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def api() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    Api.rows = json.loads(
        sales(1000).assign(at=lambda frame: frame["at"].map(pd.Timestamp.isoformat)).to_json(orient="records")
    )
    Api.failures, Api.asked = [], []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


WINDOW = {"from": "{since}", "to": "{until}"}


@pytest.mark.parametrize(
    "source",
    [
        {"url": "/cursors", "records": "data.items", "paging": {"kind": "cursor", "path": "meta.next"}},
        {"url": "/pages", "records": "data.items", "paging": {"kind": "page", "first": 0}},
        {"url": "/links", "paging": {"kind": "link"}},
    ],
)
def test_an_api_is_read_page_by_page(api: str, source: dict[str, Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SALES_TOKEN", "hush")
    Api.failures = [429, 503]

    check(
        read({"kind": "http", "token": "env:SALES_TOKEN", "parameters": WINDOW} | source | {"url": api + source["url"]})
    )

    assert {token for _, token in Api.asked} == {"Bearer hush"}


@pytest.mark.parametrize(
    ("change", "failures", "words"),
    [
        ({}, [401], "answered 401; check source.token"),
        ({}, [404], "answered 404; check the address"),
        ({"retries": 2}, [500, 500, 500], "answered 500"),
        ({}, [302], "redirects to '/elsewhere'"),
        ({"max_bytes": 100}, [], "returned more than 100 bytes"),
        ({"records": "items"}, [], "no list of rows at 'items'; it has the keys 'data', 'meta'"),
        (
            {"paging": {"kind": "cursor", "parameter": "ignored", "path": "meta.next"}},
            [],
            "returns the same page again",
        ),
        ({"url": "/astray", "records": None, "paging": {"kind": "link"}}, [], "leads to another host"),
        ({"url": "http://example.com/"}, [], "is not https"),
    ],
)
def test_an_api_that_misbehaves_is_one_clear_error(api: str, change: dict, failures: list[int], words: str):
    Api.failures = failures
    source = {"kind": "http", "url": "/cursors", "records": "data.items", "parameters": WINDOW} | change
    source["url"] = source["url"] if "//" in source["url"] else api + source["url"]

    with pytest.raises(SourceError, match=words):
        read(source)


def test_a_file_on_the_web(api: str):
    frame = read({"kind": "files", "path": f"{api}/links?from=2024-01-05&to=2025", "format": "jsonl"})

    assert frame["id"].tolist() == list(range(96, 96 + 50))
    Api.failures = [404]
    with pytest.raises(SourceError, match="answered 404"):
        read({"kind": "files", "path": f"{api}/sales.json"})
