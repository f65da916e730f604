"""Speed of `POST /models/{name}/labels` where the table has many labels already.

Run with `python tests/bench/bench_labels.py [--known 200000] [--seconds 8] [--clients 1 16]`. Each client sends one
request after the other, of labels of new keys and of corrections. The client shares the machine's cores with the
service.
"""

import argparse
import asyncio
import itertools
import multiprocessing
import os
import socket
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.small_model import register_small_model

_START = datetime(2024, 1, 1, tzinfo=UTC)


def prepare(folder: Path, known: int) -> None:
    """Register a small model with a key, and write its labels of thirty days."""
    from everfit.tasks.predictions import label_recording, labels
    from everfit.tasks.storage.row_hashes import row_keys
    from everfit.tasks.storage.workspace import Workspace

    register_small_model(folder, key=["id"])
    table = Workspace(str(folder / "workspace")).table("model", "labels")
    for day in range(30):
        ids = pd.DataFrame({"id": range(day * known // 30, (day + 1) * known // 30)})
        at = pd.Series([_START + timedelta(days=day)] * len(ids))
        target = pd.Series(np.zeros(len(ids), dtype=int))
        label_recording.record_labels(table, labels.label_rows(row_keys(ids, ["id"]), target, at, "binary", "source"))


def serve(folder: str, port: int) -> None:
    """Serve the model."""
    os.environ |= {"EVERFIT_WORKSPACE": f"{folder}/workspace", "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    os.chdir(folder)
    from everfit.infra.serving import run

    run(["model"], port=port)


async def ask(port: int, clients: int, rows: int, seconds: float, known: int) -> list[float]:
    """Send labels for a while; return the seconds of each request."""
    numbers, took = itertools.count(int(time.time() * 1_000)), list[float]()
    until = time.perf_counter() + seconds

    async def send() -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            while time.perf_counter() < until:
                keys = [next(numbers) if row % 2 else next(numbers) % known for row in range(rows)]
                began = time.perf_counter()
                body = {"labels": [{"key": key, "label": key % 2} for key in dict.fromkeys(keys)]}
                (await client.post("/models/model/labels", json=body)).raise_for_status()
                took.append(time.perf_counter() - began)

    await asyncio.gather(*(send() for _ in range(clients)))
    return took


def main() -> None:
    """Measure each number of clients and of rows."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--known", type=int, default=200_000)
    arguments.add_argument("--seconds", type=float, default=8.0)
    arguments.add_argument("--clients", type=int, nargs="+", default=[1, 16])
    given = arguments.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), given.known)
        service = multiprocessing.get_context("spawn").Process(target=serve, args=(folder, port))
        service.start()
        try:
            wait(port)
            asyncio.run(ask(port, 1, 1, 1.0, given.known))  # the first request reads the table's keys
            for clients, rows in itertools.product(given.clients, [1, 100]):
                took = sorted(asyncio.run(ask(port, clients, rows, given.seconds, given.known)))
                print(
                    f"{clients:>3} clients, {rows:>3} labels a request: {len(took) / given.seconds:7.1f} requests/s, "
                    f"p50 {took[len(took) // 2]:.3f} s, p99 {took[int(len(took) * 0.99)]:.3f} s, "
                    f"{len(list(Path(folder, 'workspace', 'model', 'labels').rglob('*.parquet'))):>5} files"
                )
        finally:
            service.terminate()
            service.join()


def wait(port: int) -> None:
    """Wait until the service answers."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise TimeoutError("the service does not start")


if __name__ == "__main__":
    main()
