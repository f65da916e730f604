"""A turn with one candidate against a bare script that fits it once: time, processor time and memory.

Half a year of flights (166,054 rows), gradient boosting with one setting. The turn runs with a Prefect server and with
the temporary one, with as little evidence as the spec allows and no refit, and as it is by default. Memory is the
largest sum of the processes' proportional set sizes.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import psutil
from bench_turn import BARE, EVERFIT, environment, prepare, start_server

UNTIL = "2013-07-01"
RUNS = 3
QUICK, FULL = "quick evidence, no refit", "default evidence, refit"


class Cost(NamedTuple):
    """What a command took."""

    seconds: float
    processor: float
    megabytes: float


def cost(command: list[str], env: dict[str, str], folder: Path) -> Cost:
    """Run a command, and measure it and the processes that it starts."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    peak, ended = 0.0, threading.Event()
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(command, env=env, cwd=folder, stdout=output, stderr=subprocess.STDOUT)

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.2):
            peak = max(peak, memory(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    ended.set()
    watcher.join()
    if code:
        raise RuntimeError(f"{command} failed: {(folder / 'output.txt').read_text()[-3000:]}")
    return Cost(seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, peak / 1e6)


def memory(process: int) -> float:
    """Return the bytes of a process and its children; 0 once it has ended."""
    found = 0.0
    try:
        tree = [psutil.Process(process), *psutil.Process(process).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for one in tree:
        try:
            found += one.memory_full_info().pss
        except psutil.Error:  # it has just ended
            continue
    return found


def write_specs(folder: Path) -> dict[str, Path]:
    """Return the spec of each kind of turn."""
    text = prepare(folder).read_text()
    text = text.replace("window: auto", "window: all")
    several = "candidates: [hist_gradient_boosting, logistic_regression, ensemble]"
    lines = {QUICK: "\n  refit: false\n  evidence: quick", FULL: ""}
    specs = {}
    for number, (kind, more) in enumerate(lines.items()):
        specs[kind] = folder / f"{number}.yaml"
        specs[kind].write_text(text.replace(several, f"candidates: [hist_gradient_boosting]{more}"))
    return specs


def turn(spec: Path, more: dict[str, str]) -> tuple[Cost, Path]:
    """Run a turn in a workspace of its own, and return its cost and the expectations that it inferred."""
    place = Path(tempfile.mkdtemp(prefix="everfit-bench-"))
    taken = cost([str(EVERFIT), "train", str(spec), "--until", UNTIL], environment(place, **more), place)
    return taken, place / "workspace/flight-delays/expectations.yaml"


def run() -> dict[str, float]:
    """Measure, by the median of some runs in turn."""
    folder = Path(tempfile.mkdtemp(prefix="everfit-bench-"))
    specs = write_specs(folder)
    (folder / "none.json").write_text("[]")
    embedded = {"PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect.db'}"}
    server, url = start_server(folder)
    ways = {"a server running": {"PREFECT_API_URL": url}, "the temporary server": embedded}
    costs: dict[str, list[Cost]] = {}
    try:
        _, suite = turn(specs[QUICK], embedded)  # makes the temporary server's database, and infers the expectations
        files = [folder / "flights", specs[QUICK], suite, folder / "none.json"]
        for _ in range(RUNS):
            for kind, spec in specs.items():
                for way, more in ways.items():
                    costs.setdefault(f"turn with {kind}, {way}", []).append(turn(spec, more)[0])
            place = Path(tempfile.mkdtemp(prefix="everfit-bench-"))
            command = [sys.executable, str(BARE), str(place), *map(str, files), UNTIL]
            costs.setdefault("bare", []).append(cost(command, environment(place), place))
    finally:
        server.terminate()
        server.wait(timeout=30)
    medians = {name: Cost(*map(statistics.median, zip(*some, strict=True))) for name, some in costs.items()}
    bare = medians.pop("bare")
    found = {
        "bare script, s": round(bare.seconds, 1),
        "bare script, s of processors": round(bare.processor, 1),
        "bare script, MB": round(bare.megabytes),
    }
    for name, one in medians.items():
        found[f"{name}, times the script"] = round(one.seconds / bare.seconds, 2)
        found[f"{name}, times its processor time"] = round(one.processor / bare.processor, 2)
        found[f"{name}, MB"] = round(one.megabytes)
    return found


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
