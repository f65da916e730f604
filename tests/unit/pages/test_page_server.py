"""The pages are served from the workspace, with a login where others can reach them, and nothing else is."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from everfit.blocks.errors import DeploymentError
from everfit.deployments.server.page_server import page_server
from everfit.tasks.storage.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(str(tmp_path))
    workspace.write(workspace.file("pages", "index.html"), b"<h1>all</h1>")
    workspace.write(workspace.file("pages", "flights", "page.json"), b"{}")
    workspace.write(workspace.file("pages", "index.html.secret"), b"secret")
    workspace.write(workspace.file("ledger.db"), b"secret")
    workspace.write(workspace.file("secret.html"), b"secret")
    return workspace


@contextmanager
def served(workspace: Workspace, login: str | None = None) -> Iterator[httpx.Client]:
    with page_server(workspace, "127.0.0.1", 0, login) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}") as client:
                yield client
        finally:
            server.shutdown()
            thread.join()


def test_pages_are_served_and_nothing_else(workspace: Workspace) -> None:
    with served(workspace) as client:
        page = client.get("/")
        assert (page.status_code, page.text) == (200, "<h1>all</h1>")
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert page.headers["X-Frame-Options"] == "DENY"
        assert client.get("/flights/page.json").json() == {}
        assert client.head("/index.html").text == ""
        for path in (
            "/../ledger.db",
            "/%2e%2e/secret.html",
            "/flights/",
            "//etc/passwd",
            "/index.html.secret",
            "/a%00.html",
        ):
            answer = client.get(path)
            assert (answer.status_code, "secret" in answer.text) == (404, False), path
        assert client.post("/", content=b"x").status_code == 501


def test_before_the_first_flow_the_page_says_what_comes_next(tmp_path: Path) -> None:
    with served(Workspace(str(tmp_path))) as client:
        page = client.get("/")
        assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert "everfit train" in page.text
        assert client.get("/flights/index.html").status_code == 404


def test_a_workspace_out_of_reach_is_no_missing_page(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Workspace, __: str) -> bytes:
        raise PermissionError("access denied")

    monkeypatch.setattr(Workspace, "read", refuse)
    with served(workspace) as client:
        answer = client.get("/")
    assert (answer.status_code, "denied" in answer.text) == (503, False)


def test_a_login_is_asked_for_where_one_is_set(workspace: Workspace) -> None:
    with served(workspace, "ann:secret") as client:
        refused = client.get("/")
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, 'Basic realm="everfit"')
        assert client.get("/", auth=("ann", "wrong")).status_code == 401
        assert client.get("/", auth=("ann", "secret")).text == "<h1>all</h1>"


def test_other_machines_read_nothing_without_a_login(workspace: Workspace) -> None:
    with pytest.raises(DeploymentError, match="EVERFIT_PAGES_LOGIN"):
        page_server(workspace, "0.0.0.0", 0)  # noqa: S104 - it is refused
