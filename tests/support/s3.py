"""A real S3 store for tests: SeaweedFS with one bucket."""

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
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError


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


def seaweed() -> Iterator[str]:
    """A SeaweedFS with the bucket `models`; gives its endpoint, and ends it afterwards."""
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


def reach(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "everfit")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "everfit-secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
