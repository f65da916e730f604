"""Speed of the prediction service against `mlflow models serve`: same model, same payloads, same run.

Run with `python tests/bench/bench_serving.py [--seconds 5] [--candidate hist_gradient_boosting] [--swaps 3] [--drain]`.
The model is that of the demo's spec, trained on the first two months of flights; the prediction log is on. Each server
is one process; the client shares the machine's cores with it, and asks of one flight after the other.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd

from everfit.deployments.demo.data import MODEL, prepare
from everfit.tasks.core.spec_loading import read_spec

BARE_APP = """
import sys, pathlib, pandas as pd
from fastapi import FastAPI, Request
import asyncio
from everfit.tasks.models.skops_format import load_model
model = load_model(next(pathlib.Path(sys.argv[1]).glob("*.skops")).read_bytes())
app = FastAPI()
@app.get("/health")
def health(): return {}
@app.post("/invocations")
async def invocations(request: Request):
    rows = pd.DataFrame((await request.json())["dataframe_records"])[list(model.feature_names_in_)]
    return {"predictions": (await asyncio.to_thread(model.predict, rows)).tolist()}
import uvicorn
uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", access_log=False)
"""


@cache
def flights() -> pd.DataFrame:
    """The flights of January and February 2013 whose label is known, as the demo prepares them."""
    folder = Path(tempfile.gettempdir(), "everfit-bench-flights")
    months = prepare(folder)[:2]
    rows = pd.concat([pd.read_parquet(path) for path in months], ignore_index=True)
    rows = rows.astype({"distance": "float64", "hour": "float64", "weekday": "float64"})
    return rows[rows["late"].notna()].reset_index(drop=True)


def records(count: int) -> list[dict[str, Any]]:
    """Some of them as JSON, with their key and event time; whole ones, since MLflow's server takes no null alone."""
    spec = read_spec((files("everfit.deployments") / "models" / f"{MODEL}.yaml").read_text(), MODEL)
    wanted = list(dict.fromkeys([*spec.columns.key, *(spec.columns.features or ())]))
    rows = flights()[wanted].dropna().sample(count, random_state=0)
    return list(json.loads(rows.to_json(orient="records", date_format="iso")))


def log_model(folder: Path, candidate: str = "logistic_regression") -> str:
    """Train and register the model; gives the folder that MLflow saved it in."""
    import mlflow

    from everfit.tasks.models.input_schema import InputSchema
    from everfit.tasks.models.skops_format import dump_model, trusted_types
    from everfit.tasks.scoring.outliers import FILE as OUTLIERS_FILE
    from everfit.tasks.scoring.outliers import OutlierDetector
    from everfit.tasks.statistics.profile import profile_frame
    from everfit.tasks.training.pipelines import build_pipeline

    spec = read_spec((files("everfit.deployments") / "models" / f"{MODEL}.yaml").read_text(), MODEL)
    names = list(spec.columns.features or ())
    rows = flights()[names]
    model = build_pipeline(candidate, "binary", rows, 0).fit(rows, flights()["late"].astype("int64"))
    client = mlflow.MlflowClient(tracking_uri=os.environ["MLFLOW_TRACKING_URI"])
    client.create_registered_model("bench")
    schema = InputSchema.of_frame(
        flights(), task="binary", features=names, key=spec.columns.key, event_time=spec.columns.time
    )
    path = folder / "model"
    mlflow.sklearn.save_model(
        model,
        path,
        serialization_format="skops",
        skops_trusted_types=trusted_types(dump_model(model)),
        signature=mlflow.models.infer_signature(rows, model.predict(rows)),
        input_example=rows.head(5),
        pip_requirements=["scikit-learn"],
        metadata=schema.metadata(),
    )
    detector = OutlierDetector.fit(profile_frame(rows, names), rows.sample(5_000, random_state=0))
    (path / Path(OUTLIERS_FILE).name).write_text(detector.canonical_json())
    version = client.create_model_version("bench", path.as_uri()).version
    client.set_registered_model_alias("bench", "champion", version)
    return str(path)


def drain_speed(folder: Path, rows: int = 200_000, together: int = 16) -> dict[str, float]:
    """How fast answers get from the spool, where they lie in micro-batches, into the Delta table."""
    from everfit.infra.serving.drain import Drain
    from everfit.infra.serving.servable import load_servable
    from everfit.infra.serving.spool import Spool
    from everfit.tasks.core.records import ModelVersion
    from everfit.tasks.predictions import prediction_ids, prediction_log
    from everfit.tasks.storage.tables import Table

    version = ModelVersion.model_validate(
        {"model": "bench", "version": 1, "run_id": "", "trained_until": "2013-03-01T00:00:00Z"}
    )
    servable = load_servable(folder / "model", version)
    inputs, spool = servable.inputs, Spool.claim(folder / "drained")
    asked = records(together)
    columns: dict[str, list[Any]] = {
        **inputs.check({name: [one.get(name) for one in asked] for name in asked[0]}, together),
        "flight": [one["flight"] for one in asked],
        inputs.event_time: [1_357_000_000_000_000] * together,
        prediction_log.PREDICTED_AT: [1_357_000_000_000_000] * together,
        prediction_log.MODEL_VERSION: [1] * together,
        prediction_log.ARM: ["champion"] * together,
        prediction_log.LATENCY: [1.5] * together,
        prediction_log.OUTLIER: [0.5] * together,
        prediction_log.CLIENT: ["local"] * together,
        prediction_log.FLAG: [None] * together,
    }
    columns |= servable.scorer.score_columns(columns).columns()
    began = time.perf_counter()
    for _ in range(rows // together):
        spool.append(servable.kinds, {**columns, prediction_log.PREDICTION_ID: prediction_ids.new_ids(1, together)})
    spooled = time.perf_counter()
    key = [column.name for column in inputs.key]
    moved = Drain(spool, Table(str(folder / "log")), key, inputs.event_time).drain()
    ended = time.perf_counter()
    spool.close()
    return {
        "rows": moved,
        "spooled_per_s": round(rows / (spooled - began)),
        "drained_per_s": round(moved / (ended - spooled)),
    }


@contextmanager
def server(command: list[str], port: int) -> Iterator[int]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # MLflow starts uvicorn by its name
    given = os.environ | {"PATH": path}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=given)
    try:
        until = time.monotonic() + 120
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            if time.monotonic() > until or process.poll() is not None:
                raise RuntimeError(f"{command} doesn't answer")
            threading.Event().wait(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(40)


async def load(port: int, payloads: list[bytes], connections: int, seconds: float) -> dict[str, float]:
    """Closed loop over plain sockets, so that the client costs as little as can be."""
    head = ["POST /invocations HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    requests = cycle(
        "\r\n".join([*head, f"Content-Length: {len(payload)}", "", ""]).encode() + payload for payload in payloads
    )
    times: list[float] = []
    failed = 0
    until = time.perf_counter() + seconds

    async def connection() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < until:
            began = time.perf_counter()
            writer.write(next(requests))
            header = await reader.readuntil(b"\r\n\r\n")
            length = int(header.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            times.append(time.perf_counter() - began)
            failed += b" 200 " not in header[:15]
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(connection() for _ in range(connections)))
    took = time.perf_counter() - began
    return {
        "requests_per_second": round(len(times) / took, 1),
        "p50_ms": round(statistics.median(times) * 1e3, 2),
        "p99_ms": round(float(np.percentile(times, 99)) * 1e3, 2),
        "longest_ms": round(max(times) * 1e3, 2),
        "failed": failed,
    }


async def load_with_swaps(port: int, payloads: list[bytes], seconds: float, swaps: int) -> dict[str, float]:
    """The same load of 16 connections while the champion changes again and again."""
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=os.environ["MLFLOW_TRACKING_URI"])
    source = client.get_model_version("bench", "1").source
    versions = ["1", str(client.create_model_version("bench", source).version)]

    async def swap() -> None:
        for number in range(1, swaps + 1):
            await asyncio.sleep(seconds / (swaps + 1))
            await asyncio.to_thread(client.set_registered_model_alias, "bench", "champion", versions[number % 2])

    found, _ = await asyncio.gather(load(port, payloads, 16, seconds), swap())
    return found


def cpu_seconds(pid: int) -> float:
    """What a process and its children have used so far; unlike wall time it doesn't depend on who else is computing."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid or int(status.parent.name) == pid:
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> int:
    """Return the memory of a process and its children at the moment."""
    pages = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rsplit(")", 1)[1].split()[1])
            if pid in {parent, int(status.parent.name)}:
                pages += int((status.parent / "statm").read_text().split()[1])
        except OSError:
            continue
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def fresh_workspace() -> Path:
    """A folder with a workspace and a registry of the bench's own, which the settings name from now on."""
    folder = Path(tempfile.mkdtemp())
    os.environ |= {
        "EVERFIT_WORKSPACE": str(folder / "workspace"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
    }
    warnings.simplefilter("ignore")
    return folder


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--swaps", type=int, default=0, help="champion changes during a load of 16 connections")
    parser.add_argument("--only", nargs="*", default=["everfit", "mlflow", "fastapi"])
    parser.add_argument(
        "--candidate", default="logistic_regression", help="the demo's champion, or its other candidate"
    )
    parser.add_argument("--drain", action="store_true", help="the drain into Delta, too")
    arguments = parser.parse_args()
    folder = fresh_workspace()
    path = log_model(folder, arguments.candidate)
    asked = records(2_000)
    single = [json.dumps({"dataframe_records": [one]}).encode() for one in asked]
    batches = [json.dumps({"dataframe_records": asked[at : at + 100]}).encode() for at in range(0, 2_000, 100)]
    payloads = {
        "1 row, 16 connections": (single, 16),
        "1 row, 1 connection": (single, 1),
        "100 rows, 4 connections": (batches, 4),
        "100 rows, 1 connection": (batches, 1),
        "100 rows, 16 connections": (batches, 16),
    }
    if arguments.drain:
        print(f"{'everfit':8} {'drain':24} {drain_speed(folder)}", flush=True)
    ports = {name: free_port() for name in ("everfit", "mlflow", "fastapi")}
    ours = f"from everfit.infra.serving import run; run(['bench'], port={ports['everfit']})"
    flavor = [
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        path,
        "--env-manager",
        "local",
        "-w",
        "1",
        "-p",
        str(ports["mlflow"]),
    ]
    commands = {
        "everfit": [sys.executable, "-c", ours],
        "mlflow": [sys.executable, *flavor],
        "fastapi": [sys.executable, "-c", BARE_APP, path, str(ports["fastapi"])],
    }
    for name in arguments.only:
        with server(commands[name], ports[name]) as pid:
            for what, (bodies, connections) in payloads.items():
                asyncio.run(load(ports[name], bodies, connections, 1.0))
                before = cpu_seconds(pid)
                found = asyncio.run(load(ports[name], bodies, connections, arguments.seconds))
                used = cpu_seconds(pid) - before
                found["cpu_ms_per_request"] = round(used * 1e3 / (found["requests_per_second"] * arguments.seconds), 2)
                found["memory_mb"] = memory_mb(pid)
                print(f"{name:8} {what:24} {found}", flush=True)
            if name == "everfit" and arguments.swaps:
                found = asyncio.run(load_with_swaps(ports[name], single, 2 * arguments.seconds, arguments.swaps))
                counted = httpx.get(f"http://127.0.0.1:{ports[name]}/metrics").text
                made = next(line for line in counted.splitlines() if line.startswith("everfit_swaps_total"))
                found["swaps"] = float(made.rsplit(" ", 1)[1])
                print(f"{name:8} {'swaps, 16 connections':24} {found}", flush=True)


if __name__ == "__main__":
    main()
