"""A monitoring turn on 100,000 logged rows: its whole process from start to exit, imports included.

Measured with Prefect's temporary server, which the command starts and ends itself, and with one that is running.
`--keep FOLDER` makes the world there and measures it again next time; `--profile` shows where a turn's time goes.
"""

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

EVERFIT = Path(sys.executable).with_name("everfit")
RUNS = 3
ROWS = 100_000
NUMBERS, TEXTS = 15, 5
TRAINED, WATCHED = "2024-03-01", "2024-03-31"
SPEC = {
    "name": "bench",
    "task": "binary",
    "source": {"kind": "files", "path": "rows/*.parquet"},
    "columns": {"key": ["id"], "event_time": "at", "label_time": "known_at", "target": "y"},
    "maturity": "1d",
    "training": {"holdout": "14d", "candidates": ["hist_gradient_boosting"]},
    "monitoring": {"window": "30d"},
    "retraining": {"cadence": "never"},  # only the look is timed
}


def rows(since: str, days: int, count: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    at = pd.Timestamp(since, tz="UTC") + pd.to_timedelta(np.sort(random.uniform(0, days, count)), unit="D")
    numbers = {f"n{i:02}": random.normal(size=count) for i in range(NUMBERS)}
    texts = {f"t{i}": random.choice([f"c{k}" for k in range(5 + 10 * i)], count) for i in range(TEXTS)}
    signal = numbers["n00"] - numbers["n01"] + 0.5 * numbers["n02"] * numbers["n03"] + (texts["t0"] == "c1")
    return pd.DataFrame(
        {
            "id": [f"{since}-{number}" for number in range(count)],
            "at": at.floor("s"),
            "known_at": (at + pd.Timedelta("12h")).floor("s"),
            **numbers,
            **texts,
            "y": random.uniform(size=count) < 1 / (1 + np.exp(-signal)),
        }
    )


def environment(folder: Path) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_", "EVERFIT_"))
    }
    return kept | {"PREFECT_HOME": str(folder / "prefect-home"), "EVERFIT_WORKSPACE": str(folder / "workspace")}


def everfit(folder: Path, *arguments: str, python: tuple[str, ...] = (), api: str = "") -> tuple[float, str]:
    command = [*python, str(EVERFIT), *arguments]
    variables = environment(folder) | ({"PREFECT_API_URL": api} if api else {})
    started = time.perf_counter()
    done = subprocess.run(command, env=variables, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"{command} failed: {done.stderr[-3000:]}{done.stdout[-2000:]}")
    return seconds, done.stdout


def make_world(folder: Path) -> None:
    """A champion, and a window of 100,000 predictions with their labels."""
    (folder / "rows").mkdir(parents=True)
    (folder / "bench.yaml").write_text(yaml.safe_dump(SPEC))
    rows("2024-01-01", 60, 2 * ROWS, 0).to_parquet(folder / "rows/one.parquet")
    everfit(folder, "train", "bench.yaml", "--until", TRAINED)
    rows(TRAINED, 30, ROWS, 1).to_parquet(folder / "rows/two.parquet")
    everfit(folder, "score", "bench.yaml", "--since", TRAINED, "--until", WATCHED)
    everfit(folder, "labels", "bench.yaml", "--until", WATCHED)


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """A Prefect server that runs for as long as this is open."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [str(EVERFIT.with_name("prefect")), "server", "start", "--host", "127.0.0.1", "--port", port]
    database = {"PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'server.db'}"}
    said = (folder / "server.log").open("w")
    running = subprocess.Popen(command, env=environment(folder) | database, stdout=said, stderr=said)
    api, give_up = f"http://127.0.0.1:{port}/api", time.monotonic() + 60
    try:
        while True:
            try:
                urllib.request.urlopen(f"{api}/health", timeout=2).close()  # noqa: S310 - on loopback
                break
            except OSError:
                if time.monotonic() > give_up:
                    raise
                time.sleep(0.1)
        yield api
    finally:
        running.terminate()
        running.wait(30)
        said.close()


def run(folder: Path) -> dict[str, object]:
    """Measure, by the median of some runs; each looks at the same window anew."""
    taken, results, before = [], {}, _processor_seconds()
    for _ in range(RUNS):
        seconds, output = everfit(folder, "monitor", "bench.yaml", "--until", WATCHED, "--json")
        taken.append(seconds)
        results = json.loads(output)
    used = (_processor_seconds() - before) / RUNS
    with server(folder) as api:
        beside = [
            everfit(folder, "monitor", "bench.yaml", "--until", WATCHED, "--json", api=api)[0] for _ in range(RUNS)
        ]
    return {
        "rows": results["signals"]["data"]["rows"],
        "verdict": results["verdict"],
        "monitoring turn, s": round(sorted(taken)[RUNS // 2], 1),
        "each, s": [round(seconds, 1) for seconds in taken],
        "processor time of a turn and Prefect's temporary server, s": round(used, 1),
        "with a running server, s": round(sorted(beside)[RUNS // 2], 1),
        "with a running server, each, s": [round(seconds, 1) for seconds in beside],
        "bound, s": 15,
    }


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def profile(folder: Path) -> None:
    """Where the time of one turn goes: imports, then functions."""
    _, _ = everfit(folder, "monitor", "bench.yaml", "--until", WATCHED)
    output = folder / "monitor.prof"
    python = (sys.executable, "-m", "cProfile", "-o", str(output))
    everfit(folder, "monitor", "bench.yaml", "--until", WATCHED, python=python)
    import pstats

    pstats.Stats(str(output)).sort_stats("cumulative").print_stats("everfit|evidently/", 70)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    place = (options.keep or Path(tempfile.mkdtemp(prefix="everfit-bench-"))).absolute()
    if not (place / "bench.yaml").exists():
        make_world(place)
    if options.profile:
        profile(place)
    else:
        print(json.dumps(run(place), indent=2))
