"""Whom MLflow confirms as logged in."""

import json
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from support.receivers import serving

from everfit.blocks.settings import Settings
from everfit.tasks.registry.accounts import mlflow_account


class _Users(BaseHTTPRequestHandler):
    """A server with the login of Ann, which answers as MLflow does."""

    def do_GET(self) -> None:
        known = self.headers.get("Authorization") == f"Basic {b64encode(b'ann:secret').decode()}"
        self.send_response(200 if known else 401)
        self.end_headers()
        self.wfile.write(json.dumps({"user": {"username": "ann"}}).encode())

    def log_message(self, *_: object) -> None:
        """The test has what it wants to know."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with serving(server := HTTPServer(("127.0.0.1", 0), _Users)):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("HOME", str(tmp_path))
        for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
            monkeypatch.delenv(name, raising=False)
        yield tmp_path


@pytest.mark.parametrize(("password", "account"), [("secret", "ann"), ("wrong", "")])
@pytest.mark.parametrize("place", ["environment", "file"])
def test_who_is_logged_in_counts_wherever_mlflow_finds_the_login(
    home: Path, monkeypatch: pytest.MonkeyPatch, place: str, password: str, account: str
) -> None:
    if place == "environment":
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ann")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", password)
    else:
        (home / ".mlflow").mkdir()
        login = f"[mlflow]\nmlflow_tracking_username = ann\nmlflow_tracking_password = {password}\n"
        (home / ".mlflow" / "credentials").write_text(login)

    assert mlflow_account(Settings()) == account


def test_without_a_login_nobody_is_asked() -> None:
    assert mlflow_account(Settings()) == ""
