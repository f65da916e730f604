"""The workspace on S3: a real SeaweedFS, and a store that says yes to everything."""

import json
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from support.turns import Loop, sales

from everfit.blocks.errors import WorkspaceError
from everfit.blocks.settings import Settings
from everfit.tasks.data.accept import accept
from everfit.tasks.data.ingest import ingest
from everfit.tasks.data.validate import validate
from everfit.tasks.workspace import Workspace, check_store

FEBRUARY, MARCH = datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)


def free_port() -> int:
    """A port whose sibling, 10,000 higher, is free as well: SeaweedFS takes both.

    Both lie below those that the system gives to outgoing connections, which might take them before the server does.
    """
    while True:
        port = random.randrange(15_000, 22_700)
        with socket.socket() as low, socket.socket() as high:
            try:
                low.bind(("127.0.0.1", port))
                high.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """A SeaweedFS with one bucket; gives its endpoint."""
    folder = Path(tempfile.mkdtemp(prefix="weed-"))
    rights = {"accessKey": "everfit", "secretKey": "everfit-secret"}
    identities = [{"name": "everfit", "credentials": [rights], "actions": ["Admin", "Read", "Write", "List"]}]
    (folder / "s3.json").write_text(json.dumps({"identities": identities}))
    ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
    command = [
        str(Path(sys.executable).with_name("weed")),
        "mini",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
    ]
    command += ["-master.telemetry=false", f"-s3.config={folder / 's3.json'}", "-webdav=false", "-admin.ui=false"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += [f"-{name}.port={port}" for name, port in ports.items()]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    endpoint = f"http://127.0.0.1:{ports['s3']}"
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="everfit",
        aws_secret_access_key="everfit-secret",
        config=Config(connect_timeout=2, read_timeout=20, retries={"max_attempts": 0}),
    )
    deadline = time.monotonic() + 60
    try:
        while True:
            try:
                client.create_bucket(Bucket="models")
                break
            except (BotoCoreError, ClientError):
                if time.monotonic() > deadline or server.poll() is not None:
                    raise AssertionError((folder / "log").read_text()[-2000:]) from None
                threading.Event().wait(0.1)
        yield endpoint
    finally:
        server.terminate()
        server.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def environment(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reach(store, monkeypatch)


def reach(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "everfit")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "everfit-secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


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
    second, _ = loop.turn(MARCH)

    assert (first.new, second.read, second.new) == (200, 10, 10)
    client.close()
