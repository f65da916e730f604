"""A service reads the registry without MLflow's client, and finds what the client finds."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from support.prepared import copy_empty_mlflow

from everfit.blocks.errors import ModelError
from everfit.blocks.settings import Settings
from everfit.tasks.registry.local_copy import local_files
from everfit.tasks.registry.readers import LightReader, MlflowReader, reader_of
from everfit.tasks.registry.registered import UnfitReaderError
from everfit.tasks.registry.rest_reader import RestReader
from everfit.tasks.registry.sqlite_reader import SqliteReader


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry: one model with a champion and a challenger, one without a champion, one with a deleted version."""
    folder: Path = tmp_path_factory.mktemp("registry")
    copy_empty_mlflow(folder / "mlflow.db")
    made = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    for name in ("delays", "fares", "tips"):
        made.create_registered_model(name)
    for tags in ({"everfit.trained_until": "2024-05-01T00:00:00+00:00", "everfit.snapshot": "abc"}, {"own": "x"}):
        made.create_model_version("delays", folder.as_uri(), run_id=None, tags=tags)
    made.set_registered_model_alias("delays", "champion", "1")
    made.set_registered_model_alias("delays", "challenger", "2")
    made.create_model_version("tips", folder.as_uri())
    made.set_registered_model_alias("tips", "champion", "1")
    made.delete_model_version("tips", "1")
    return folder / "mlflow.db"


def client_of(database: Path) -> MlflowReader:
    client = MlflowClient(tracking_uri=f"sqlite:///{database}")
    return MlflowReader(lambda: client)


@pytest.mark.parametrize("model", ["delays", "fares", "tips", "unknown"])
@pytest.mark.parametrize("alias", ["champion", "challenger"])
def test_a_file_is_read_as_by_the_client(database: Path, model: str, alias: str) -> None:
    assert SqliteReader(database).by_alias(model, alias) == client_of(database).by_alias(model, alias)


def test_the_aliases_of_a_file_are_read_as_by_the_client(database: Path) -> None:
    light, own = SqliteReader(database), client_of(database)
    assert light.all_aliases(50) == own.all_aliases(50)
    assert light.all_aliases(2) is None is own.all_aliases(2)


def test_tables_of_another_mlflow_are_left_to_its_client(tmp_path: Path, database: Path) -> None:
    other = tmp_path / "mlflow.db"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE registered_models (id INTEGER)")
    with pytest.raises(UnfitReaderError):
        SqliteReader(other).by_alias("delays", "champion")
    own = client_of(database)
    reader = LightReader(SqliteReader(other), own)
    assert reader.by_alias("delays", "champion") == own.by_alias("delays", "champion")
    assert reader.all_aliases(50) == own.all_aliases(50)


def test_a_file_that_is_no_database_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("something else, and longer than a header of SQLite would have to be" * 20)
    with pytest.raises(ModelError, match="can't be read"):
        SqliteReader(tmp_path / "mlflow.db").by_alias("delays", "champion")


class Stub(BaseHTTPRequestHandler):
    """Answers with what the test wants, and remembers how it was asked."""

    protocol_version = "HTTP/1.1"
    answers: "list[tuple[int, Any]]" = []  # noqa: RUF012
    asked: "list[tuple[str, str | None, int]]" = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization"), self.client_address[1]))
        status, content = self.answers.pop(0)
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = status >= 500

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    Stub.answers, Stub.asked = [], []
    with ThreadingHTTPServer(("127.0.0.1", 0), Stub) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/place"
        running.shutdown()
        thread.join()


FOUND = {"model_version": {"name": "delays", "version": "7", "creation_timestamp": 1_700_000_000_000, "run_id": "r"}}


def test_a_server_is_asked_over_one_connection_with_the_login_of_the_environment(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    reader = RestReader(server)
    Stub.answers = [(200, FOUND), (404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "none"})]
    found = reader.by_alias("the delays", "champion")
    assert found is not None
    assert (found.version.version, found.version.run_id, found.tags) == (7, "r", {})
    assert reader.by_alias("the delays", "challenger") is None

    paths, logins, ports = zip(*Stub.asked, strict=True)
    assert paths[0] == "/place/api/2.0/mlflow/registered-models/alias?name=the+delays&alias=champion"
    reader.close()
    assert set(logins) == {"Bearer secret"}
    assert len(set(ports)) == 1


def test_a_connection_that_the_server_has_closed_is_made_again(server: str) -> None:
    reader = RestReader(server)
    Stub.answers = [(503, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "soon"}), (200, FOUND)]
    with pytest.raises(ModelError, match="503: soon"):
        reader.by_alias("delays", "champion")
    assert reader.by_alias("delays", "champion") is not None
    reader.close()


def test_a_server_that_is_none_of_mlflow_or_is_gone_is_an_error(server: str) -> None:
    Stub.answers = [(200, b"<html>")]
    with closing(RestReader(server)) as reader, pytest.raises(ModelError, match="HTTP status 200 and no JSON"):
        reader.by_alias("delays", "champion")
    with pytest.raises(ModelError, match=r"does not answer: .*Connection refused"):
        RestReader("http://127.0.0.1:9").by_alias("delays", "champion")


@pytest.mark.parametrize(
    ("uri", "variable", "light"),
    [
        ("sqlite:////tmp/mlflow.db", "", True),
        ("http://127.0.0.1:5000", "", True),
        ("http://127.0.0.1:5000", "MLFLOW_TRACKING_AUTH", False),
        ("http://127.0.0.1:5000", "MLFLOW_CREDENTIALS_FILE", False),
        ("http://somewhere:5000", "http_proxy", False),
        ("postgresql://u@h/d", "", False),
        ("databricks", "", False),
    ],
)
def test_mlflows_client_is_asked_where_it_asks_in_ways_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uri: str, variable: str, light: bool
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    if variable:
        (tmp_path / "set").write_text("")
        monkeypatch.setenv(variable, str(tmp_path / "set") if "FILE" in variable else "http://proxy:1")
    found = reader_of(Settings(), lambda: None)  # type: ignore[arg-type, return-value]
    assert isinstance(found, LightReader) is light


def test_files_on_this_machine_are_found_without_mlflow(database: Path) -> None:
    champion = SqliteReader(database).by_alias("delays", "champion")
    assert champion is not None
    found = SqliteReader(database).local_files(champion.version)
    assert found is not None
    assert (found.model, found.run) == (database.parent, None)
    assert found.tags["everfit.snapshot"] == "abc"


@pytest.mark.parametrize(
    ("model", "run", "there"),
    [
        ("file:///a/b%20c", None, True),
        ("/a/b", "file://localhost/runs/1", True),
        ("s3://bucket/a", None, False),
        ("mlflow-artifacts:/1/a", None, False),
        ("/a/b", "s3://bucket/runs/1", False),
        ("file://elsewhere/a", None, False),
        ("relative/a", None, False),
    ],
)
def test_files_elsewhere_are_left_to_mlflow(model: str, run: str | None, there: bool) -> None:
    assert (local_files(model, run, {}) is not None) is there
