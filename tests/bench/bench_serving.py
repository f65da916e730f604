"""Speed of the prediction service against `mlflow models serve`: same model, same payloads, same run.

Run with `python tests/bench/bench_serving.py [--seconds 5]`. The model is a pipeline of gradient boosting over 15
columns, five of them categorical; the prediction log is on. Each server is one process; the client shares
the machine's cores with it.
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
from pathlib import Path

import httpx
import numpy as np
import pandas as pd

NUMBERS = [f"number_{position}" for position in range(10)]
TEXTS = [f"text_{position}" for position in range(5)]

BARE_APP = """
import sys, pathlib, pandas as pd
from fastapi import FastAPI, Request
import asyncio
from everfit.tasks.learning.train import load_model
model = load_model(next(pathlib.Path(sys.argv[1]).glob("*.skops")).read_bytes())
app = FastAPI()
@app.get("/health")
def health(): return {}
@app.post("/invocations")
async def invocations(request: Request):
    rows = pd.DataFrame((await request.json())["dataframe_records"])
    return {"predictions": (await asyncio.to_thread(model.predict, rows)).tolist()}
import uvicorn
uvicorn.run(app, port=int(sys.argv[2]), log_level="warning", access_log=False)
"""


def frame(rows: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    numbers = {name: random.normal(size=rows) for name in NUMBERS}
    texts = {name: pd.array(random.choice(list("abcdefghij"), rows), dtype="str") for name in TEXTS}
    return pd.DataFrame({**numbers, **texts})


def log_model(folder: Path) -> str:
    """Train and register the model; gives the folder that MLflow saved it in."""
    import mlflow
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    from everfit.tasks.answering.inputs import InputSchema
    from everfit.tasks.answering.outliers import FILE as OUTLIERS_FILE
    from everfit.tasks.answering.outliers import OutlierDetector
    from everfit.tasks.learning.train import dump_model, trusted_types
    from everfit.tasks.watching.profile import profile_frame

    rows = frame(20_000)
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan)
    columns = ColumnTransformer([("codes", codes, TEXTS)], remainder="passthrough")
    model = Pipeline([("columns", columns), ("estimator", HistGradientBoostingClassifier(random_state=0))])
    model.fit(rows, (rows["number_0"] + (rows["text_0"] == "a") > 0).astype(int))
    client = mlflow.MlflowClient(tracking_uri=os.environ["MLFLOW_TRACKING_URI"])
    client.create_registered_model("bench")
    path = folder / "model"
    mlflow.sklearn.save_model(
        model,
        path,
        serialization_format="skops",
        skops_trusted_types=trusted_types(dump_model(model)),
        signature=mlflow.models.infer_signature(rows, model.predict(rows)),
        input_example=rows.head(5),
        pip_requirements=["scikit-learn"],
        metadata=InputSchema.of_frame(rows, task="binary", features=list(rows.columns)).metadata(),
    )
    detector = OutlierDetector.fit(profile_frame(rows, list(rows.columns)), frame(5_000))
    (path / Path(OUTLIERS_FILE).name).write_text(detector.canonical_json())
    version = client.create_model_version("bench", path.as_uri()).version
    client.set_registered_model_alias("bench", "champion", version)
    return str(path)


@contextmanager
def server(command: list[str], port: int) -> Iterator[int]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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


async def load(port: int, payload: bytes, connections: int, seconds: float) -> dict[str, float]:
    """Closed loop over plain sockets, so that the client costs as little as can be."""
    head = ["POST /invocations HTTP/1.1", "Host: bench", "Content-Type: application/json"]
    request = "\r\n".join([*head, f"Content-Length: {len(payload)}", "", ""]).encode() + payload
    times: list[float] = []
    failed = 0
    until = time.perf_counter() + seconds

    async def connection() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < until:
            began = time.perf_counter()
            writer.write(request)
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
        "failed": failed,
    }


async def load_with_swaps(port: int, payload: bytes, seconds: float, swaps: int) -> dict[str, float]:
    """The same load of 16 connections while the champion changes again and again."""
    import mlflow

    client = mlflow.MlflowClient(tracking_uri=os.environ["MLFLOW_TRACKING_URI"])
    source = client.get_model_version("bench", "1").source
    versions = ["1", str(client.create_model_version("bench", source).version)]

    async def swap() -> None:
        for number in range(1, swaps + 1):
            await asyncio.sleep(seconds / (swaps + 1))
            await asyncio.to_thread(client.set_registered_model_alias, "bench", "champion", versions[number % 2])

    found, _ = await asyncio.gather(load(port, payload, 16, seconds), swap())
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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--swaps", type=int, default=0, help="champion changes during a load of 16 connections")
    parser.add_argument("--only", nargs="*", default=["everfit", "mlflow", "fastapi"])
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    os.environ |= {
        "EVERFIT_WORKSPACE": str(folder / "workspace"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
    }
    warnings.simplefilter("ignore")
    path = log_model(folder)
    records = json.loads(frame(100).to_json(orient="records"))
    payloads = {
        "1 row, 16 connections": (json.dumps({"dataframe_records": records[:1]}).encode(), 16),
        "1 row, 1 connection": (json.dumps({"dataframe_records": records[:1]}).encode(), 1),
        "100 rows, 4 connections": (json.dumps({"dataframe_records": records}).encode(), 4),
    }
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
            for what, (payload, connections) in payloads.items():
                asyncio.run(load(ports[name], payload, connections, 1.0))
                before = cpu_seconds(pid)
                found = asyncio.run(load(ports[name], payload, connections, arguments.seconds))
                used = cpu_seconds(pid) - before
                found["cpu_ms_per_request"] = round(used * 1e3 / (found["requests_per_second"] * arguments.seconds), 2)
                print(f"{name:8} {what:24} {found}", flush=True)
            if name == "everfit" and arguments.swaps:
                payload = payloads["1 row, 16 connections"][0]
                found = asyncio.run(load_with_swaps(ports[name], payload, 2 * arguments.seconds, arguments.swaps))
                counted = httpx.get(f"http://127.0.0.1:{ports[name]}/metrics").text
                made = next(line for line in counted.splitlines() if line.startswith("everfit_swaps_total"))
                found["swaps"] = float(made.rsplit(" ", 1)[1])
                print(f"{name:8} {'swaps, 16 connections':24} {found}", flush=True)


if __name__ == "__main__":
    main()
