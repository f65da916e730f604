"""What `everfit bootstrap` costs: processor time of the command and of Prefect's server, and requests, by models.

    python tests/bench/bench_bootstrap.py [--models 1 10 50] [--runs 2000]

Each number of models has a server of its own, as `everfit up` starts it. `again` is a bootstrap that finds nothing to
do, and `with history` the same after flow runs of the models that have ended. Wall time is worth reading on an idle
machine only.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from everfit.blocks.settings import Settings
from everfit.deployments.server.databases import databases
from everfit.deployments.server.stack import environment_of

SPEC = """name: {name}
task: binary
source: {{kind: files, path: data/deliveries.csv}}
columns: {{key: [id], event_time: at, target: late}}
training: {{holdout: 2d}}
"""

COUNTED = """
import atexit, os, sys, httpx
sent, send = [], httpx.Client.send
httpx.Client.send = lambda self, request, **options: (sent.append(request.url), send(self, request, **options))[1]
atexit.register(lambda: print("\\n", len(sent), sum(os.times()[:4]), file=sys.stderr))
from everfit.deployments.cli.main import main
sys.argv = ["everfit", "bootstrap"]
main()
"""
"""The command, which says at its end how many requests it has sent and how many seconds of a processor it took."""


def used(pid: int) -> float:
    """Return the seconds of a processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def until_idle(pid: int) -> None:
    """Wait until a process has worked off what it was sent."""
    before = used(pid)
    while True:
        time.sleep(2)
        now = used(pid)
        if now - before < 0.2:
            return
        before = now


@contextmanager
def server(folder: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Run a server in a folder, and yield its process and the environment of the command."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    state = folder / ".everfit"
    (state / "stack").mkdir(parents=True)
    url = f"http://127.0.0.1:{port}"
    urls = {"prefect": url, "mlflow": (state / "mlruns").as_uri(), "pages": url}
    own = environment_of(Settings(), state / "stack", databases(None, state), urls) | {
        "EVERFIT_WORKSPACE": str(state),
        "EVERFIT_PROJECT": "bench",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=own, stdout=log, stderr=log, cwd=folder)
    try:
        while True:
            try:
                httpx.get(f"{url}/api/health", timeout=5).raise_for_status()
                break
            except httpx.HTTPError:
                if process.poll() is not None:
                    raise RuntimeError((folder / "server.log").read_text()[-2000:]) from None
                time.sleep(0.2)
        until_idle(process.pid)
        yield process.pid, own
    finally:
        process.terminate()
        process.wait(60)


def bootstrap(pid: int, folder: Path, environment: dict[str, str]) -> dict[str, float]:
    """Run the command, and return what it cost."""
    before, began = used(pid), time.perf_counter()
    command = [sys.executable, "-c", COUNTED]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=True)
    wall = time.perf_counter() - began
    until_idle(pid)
    requests, seconds = done.stderr.split()[-2:]
    return {"command": float(seconds), "server": used(pid) - before, "requests": int(requests), "wall": wall}


def live(url: str, count: int) -> None:
    """Let flow runs of the deployments begin and end, with the events that belong to it."""
    with httpx.Client(base_url=url, timeout=60) as api:
        found: list[dict[str, Any]] = api.post("/deployments/filter", json={"limit": 200}).json()
        named = [one for one in found if "model" in one["parameters"]]
        for number in range(count):
            body = {"parameters": {}, "state": {"type": "RUNNING"}}
            path = f"/deployments/{named[number % len(named)]['id']}/create_flow_run"
            run = retried(api, path, body)
            retried(api, f"/flow_runs/{run['id']}/set_state", {"state": {"type": "COMPLETED"}, "force": True})


def retried(api: httpx.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Post until the server's database is not locked."""
    while (answer := api.post(path, json=body)).status_code == 503:
        time.sleep(0.1)
    return dict(answer.raise_for_status().json())


def main() -> None:
    """Print a line for each number of models and each run of the command."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--models", type=int, nargs="+", default=[1, 10, 50])
    arguments.add_argument("--runs", type=int, default=0, help="The number of flow runs of the history.")
    given = arguments.parse_args()
    print(f"{'models':>6} {'bootstrap':12} {'command':>9} {'server':>9} {'requests':>9} {'wall':>9}")
    for count in given.models:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder)
            (path / "deployments" / "models").mkdir(parents=True)
            for number in range(count):
                name = f"model-{number}"
                (path / "deployments" / "models" / f"{name}.yaml").write_text(SPEC.format(name=name))
            with server(path) as (pid, own):
                for which in ("first", "again", *(["with history"] if given.runs else [])):
                    if which == "with history":
                        live(own["PREFECT_API_URL"], given.runs)
                        until_idle(pid)
                    cost = bootstrap(pid, path, own)
                    print(
                        f"{count:>6} {which:12} {cost['command']:>7.1f} s {cost['server']:>7.1f} s "
                        f"{cost['requests']:>9.0f} {cost['wall']:>7.1f} s",
                        flush=True,
                    )
    print(json.dumps({"load": os.getloadavg()[0]}))


if __name__ == "__main__":
    main()
