"""A real S3 store for tests: SeaweedFS with one bucket."""

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from s3fs import S3FileSystem


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


class Seaweed:
    """A SeaweedFS with the bucket `models`, which can be killed, and started again on what it has kept.

    The user `everfit` may do everything, and `reader` may only read.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="weed-"))
        rights = {"accessKey": "everfit", "secretKey": "everfit-secret"}
        identities = [{"name": "everfit", "credentials": [rights], "actions": ["Admin", "Read", "Write", "List"]}]
        reader = {"accessKey": "reader", "secretKey": "reader-secret"}
        identities.append({"name": "reader", "credentials": [reader], "actions": ["Read", "List"]})
        (self.folder / "s3.json").write_text(json.dumps({"identities": identities}))
        self.ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
        self.endpoint = f"http://127.0.0.1:{self.ports['s3']}"

    def start(self) -> None:
        command = [str(Path(sys.executable).with_name("weed")), "mini", f"-dir={self.folder}"]
        command += ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-webdav=false"]
        command += [f"-s3.config={self.folder / 's3.json'}", "-admin.ui=false"]
        command += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
        command += [f"-{name}.port={port}" for name, port in self.ports.items()]
        with (self.folder / "log").open("ab") as log:
            self.server = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        wait_for_bucket(self.endpoint, self.server, self.folder / "log")

    def kill(self) -> None:
        self.server.kill()
        self.server.wait(20)

    def close(self) -> None:
        self.server.terminate()
        try:
            self.server.wait(10)
        except subprocess.TimeoutExpired:  # after a kill it may wait for what it has lost
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def wait_for_bucket(endpoint: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until a store takes what is put into the bucket `models`, which is made if need be."""
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="everfit",
        aws_secret_access_key="everfit-secret",
        config=Config(connect_timeout=2, read_timeout=20, retries={"max_attempts": 0}),
    )
    deadline = time.monotonic() + 60
    while True:
        try:
            if "models" not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
                client.create_bucket(Bucket="models")
            client.put_object(Bucket="models", Key="up", Body=b"1")
            break
        except (BotoCoreError, ClientError):
            if time.monotonic() > deadline or server.poll() is not None:
                raise AssertionError(log.read_text()[-2000:]) from None
            threading.Event().wait(0.1)
    client.close()


def seaweed() -> Iterator[str]:
    """A SeaweedFS with the bucket `models`; gives its endpoint, and ends it afterwards."""
    store = Seaweed()
    try:
        store.start()
        yield store.endpoint
    finally:
        store.close()


@contextmanager
def nanio(folder: Path) -> Iterator[str]:
    """A nanio with the bucket `models`: a store that silently passes over the condition of a put."""
    port = free_port()
    command = [str(Path(sys.executable).with_name("nanio")), "serve", "--data-dir", str(folder)]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {"NANIO_ACCESS_KEY": "everfit", "NANIO_SECRET_KEY": "everfit-secret"}
    log = folder / "log"
    with log.open("wb") as stream:
        server = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment)
    try:
        wait_for_bucket(f"http://127.0.0.1:{port}", server, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


def reach(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    S3FileSystem.clear_instance_cache()  # an earlier test may have left one with another address
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "everfit")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "everfit-secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
