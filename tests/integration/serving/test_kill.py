"""The service is killed with SIGKILL under load: every answered prediction is in the log, exactly once."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from everfit.tasks.predictions import prediction_log
from everfit.tasks.storage.tables import Table

PROGRAM = """
import json, os, sys
from everfit.infra.serving import run
from everfit.blocks.serving import ServingPolicy
policy = ServingPolicy.model_validate({"follow_every": "0.1s", "drain_every": "0.2s"})
run(["delays"], port=int(sys.argv[1]), policies={"delays": policy})
"""


def start(port: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ
    )


def wait_for(condition: Callable[[], object], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come true in time"
        threading.Event().wait(0.01)


def wait_until_healthy(url: str, process: "subprocess.Popen[bytes]") -> None:
    def healthy() -> bool:
        assert process.poll() is None
        try:
            return httpx.get(f"{url}/health").status_code == 200
        except httpx.HTTPError:
            return False

    wait_for(healthy, 90)


def test_every_answered_prediction_is_logged_once(
    registry: Any, serve: Any, workspace: Path, good: dict[str, Any]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    versions = [registry.add("delays", "first"), registry.add("delays", "second")]
    registry.champion("delays", versions[0])
    answered: list[tuple[str, int]] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            try:
                with httpx.Client(base_url=url, timeout=10) as client:
                    while not ended.is_set():
                        (one,) = client.post("/models/delays/predict", json={"records": [good]}).json()["predictions"]
                        answered.append((one["prediction_id"], one["model_version"]))
            except (httpx.HTTPError, ValueError, KeyError):
                ended.wait(0.05)

    askers = [threading.Thread(target=ask) for _ in range(4)]
    process = start(port)
    try:
        wait_until_healthy(url, process)
        for asker in askers:
            asker.start()
        for version in versions[::-1]:  # so that it is killed soon after a swap
            before = len(answered)
            registry.champion("delays", version)
            wait_for(lambda before=before, by=version: sum(one == by for _, one in answered[before:]) >= 200, 60)  # type: ignore[misc]
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        ended.set()
        for asker in askers:
            if asker.ident:
                asker.join()

    left = len(list((workspace / "serving" / "delays" / "spool").glob("*/*.seg")))
    assert left >= 1
    serve("delays").stop()  # the next service finds what the first one left

    frame = prediction_log.read(Table(str(workspace / "delays" / "predictions")), None, "departs")
    assert frame["_prediction_id"].is_unique
    logged = dict(zip(frame["_prediction_id"], frame["_model_version"], strict=True))
    assert {one: logged.get(one) for one, _ in answered} == dict(answered)
    assert {version for _, version in answered} == set(versions)
    assert len(logged) - len(answered) <= len(askers)  # logged, but killed before the answer was out
