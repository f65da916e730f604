"""The workspace on S3: a real SeaweedFS, and a store that says yes to everything."""

import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest
from support.s3 import reach
from support.turns import Loop, sales

from everfit.blocks.errors import WorkspaceError
from everfit.blocks.settings import Settings
from everfit.tasks.data.accept import accept
from everfit.tasks.data.ingest import ingest, read_marks
from everfit.tasks.data.validate import validate
from everfit.tasks.sources.arrivals import Told, arrival, look
from everfit.tasks.workspace import Workspace, check_store

FEBRUARY, MARCH = datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)


@pytest.fixture
def environment(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reach(store, monkeypatch)


@pytest.mark.usefixtures("environment")
def test_a_store_that_honours_conditional_puts_is_taken(monkeypatch: pytest.MonkeyPatch):
    assert Workspace.of(Settings(workspace="s3://models/checked")).remote

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(WorkspaceError, match=r"can't be used: .*; check the bucket"):
        check_store("s3://models/checked")


def test_a_store_that_ignores_conditional_puts_is_refused_by_name(monkeypatch: pytest.MonkeyPatch):
    class Careless(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            if self.headers.get("expect"):
                self.send_response_only(100)
                self.end_headers()
            self.rfile.read(int(self.headers.get("content-length", "0")))
            self.answer(200)

        def do_DELETE(self) -> None:
            self.answer(204)

        def answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("etag", '"1"')
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Careless)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    reach(f"http://127.0.0.1:{server.server_port}", monkeypatch)

    with pytest.raises(WorkspaceError, match=r"does not honour conditional puts \(If-None-Match\)"):
        Workspace.of(Settings(workspace="s3://models/careless"))
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("environment")
def test_turns_and_writers_at_once_on_s3(tmp_path: Path):
    loop = Loop(tmp_path)
    loop.workspace = Workspace("s3://models/turns")
    loop.write("a.csv", sales(100))
    loop.turn(FEBRUARY)
    rows = sales(300)
    rows.loc[5, "y"] = 4.5
    loop.write("a.csv", rows)
    failures: list[BaseException] = []

    def run(name: str) -> None:
        try:
            batch = ingest(loop.spec, MARCH, name, loop.workspace)
            accept(loop.spec, batch, validate(loop.spec, batch, loop.workspace), loop.workspace)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=run, args=(f"process-{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failures
    assert list(loop.dataset()["id"]) == list(range(300))
    assert loop.dataset()["y"][5] == 4.5


@pytest.mark.usefixtures("environment")
def test_files_of_a_source_on_s3_are_read_once(tmp_path: Path, store: str):
    client = boto3.client("s3")
    for name, first in (("a", 0), ("b", 100)):
        body = sales(100, first=first).to_csv(index=False).encode()
        client.put_object(Bucket="models", Key=f"sales/{name}.csv", Body=body)
    loop = Loop(tmp_path, source={"kind": "files", "path": "s3://models/sales/*.csv"})

    first, _ = loop.turn(FEBRUARY)
    client.put_object(Bucket="models", Key="sales/c.csv", Body=sales(10, first=200).to_csv(index=False).encode())
    told = arrival("sales", look(loop.spec, MARCH), Told(), read_marks(loop.spec, loop.workspace), MARCH)
    second, _ = loop.turn(MARCH)

    assert (first.new, second.read, second.new) == (200, 10, 10)
    assert told is not None
    assert told.new == ("models/sales/c.csv",)  # watching lists by boto3 what reading lists by s3fs
    assert arrival("sales", look(loop.spec, MARCH), Told(), read_marks(loop.spec, loop.workspace), MARCH) is None
    client.close()
