"""One turn's whole-process time against a bare script that makes the same library calls.

The script is measured twice: as somebody would write it, with one fit for each candidate, one for the hold-out and one
for the release; and with every fit and every scoring of a turn, which judges its procedure by fitting it again and
again. Prints the ratios with a Prefect server running and with the temporary one, the memory of the largest process of
each, and where the time of a turn goes.
The very first turn of an installation has a line of its own: in it the temporary server makes its database, which takes
seconds.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

EVERFIT = Path(sys.executable).with_name("everfit")
UNTIL = "2013-03-01"
RUNS = 3
BARE, RECORDED = (Path(__file__).with_name(name) for name in ("bare_turn.py", "recorded_turn.py"))


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Of a process that keeps everything in a folder of its own."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_", "EVERFIT_"))
    }
    quiet = {"DO_NOT_TRACK": "1", "GX_ANALYTICS_ENABLED": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    quiet |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_HOME": str(folder / "prefect-home")}
    return kept | quiet | {"EVERFIT_WORKSPACE": str(folder / "workspace")} | more


def timed(command: list[str], env: dict[str, str], folder: Path) -> tuple[float, int, str]:
    """Run a command, and return its seconds, the memory of its largest process in MB, and what it reported."""
    with tempfile.TemporaryFile("w+") as said:
        started = time.perf_counter()
        process = subprocess.Popen(command, env=env, cwd=folder, stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        reported = said.read()
    if process.returncode:
        raise RuntimeError(f"{command} failed: {reported[-3000:]}")
    return seconds, used.ru_maxrss // 1024, reported


def prepare(folder: Path) -> Path:
    """The flights, and the spec that points at them."""
    from everfit.deployments.demo.data import prepare as prepare_flights

    prepare_flights(folder / "flights")
    source = (Path(__file__).parents[2] / "deployments/models/flight-delays.yaml").read_text()
    spec = folder / "flight-delays.yaml"
    spec.write_text(re.sub(r"path: .*", f"path: {folder}/flights/*.parquet", source))
    return spec


def everfit_turn(spec: Path, **more: str) -> tuple[float, int, str, Path]:
    folder = Path(tempfile.mkdtemp(prefix="everfit-bench-"))
    command = [str(EVERFIT), "train", str(spec), "--until", UNTIL, "--json"]
    return *timed(command, environment(folder, **more), folder), folder


def work_of_turn(spec: Path) -> list[dict[str, str | int]]:
    """Return the fits and the scorings of a turn, in their order."""
    folder = Path(tempfile.mkdtemp(prefix="everfit-bench-"))
    timed([sys.executable, str(RECORDED), "work.jsonl", str(spec), UNTIL], environment(folder), folder)
    return [json.loads(line) for line in (folder / "work.jsonl").read_text().splitlines()]


def beyond_the_script(work: list[dict[str, str | int]]) -> list[dict[str, str | int]]:
    """Leave out the four fits that the bare script makes anyway: both candidates', the hold-out's and the release's."""
    fits = [number for number, step in enumerate(work) if step["do"] == "fit"]
    known = {*fits[:2], fits[-2], fits[-1]}
    return [step for number, step in enumerate(work) if number not in known]


def start_server(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [str(EVERFIT.with_name("prefect")), "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        env=environment(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/api"
    give_up = time.monotonic() + 120
    while time.monotonic() < give_up:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:  # noqa: S310 - on loopback
                if answer.status == 200:
                    return server, url
        except OSError:
            time.sleep(0.2)
    server.terminate()
    raise TimeoutError("the Prefect server did not come up within 120 s")


def run() -> dict[str, float]:
    """Measure, by the median of some runs in turn."""
    folder = Path(tempfile.mkdtemp(prefix="everfit-bench-"))
    spec = prepare(folder)
    embedded = {"PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder / 'prefect.db'}"}
    very_first, _, reported, first = everfit_turn(spec, **embedded)
    suite = first / "workspace/flight-delays/expectations.yaml"
    (folder / "none.json").write_text("[]")
    work = work_of_turn(spec)
    (folder / "work.json").write_text(json.dumps(beyond_the_script(work)))
    server, url = start_server(folder)
    seconds: dict[str, list[float]] = {"bare": [], "same": [], "server": [], "temporary": []}
    memory: dict[str, int] = dict.fromkeys(seconds, 0)

    def note(name: str, took: float, used: int) -> None:
        seconds[name].append(took)
        memory[name] = max(memory[name], used)

    try:
        for _ in range(RUNS):
            for name, steps in (("bare", "none.json"), ("same", "work.json")):
                place = Path(tempfile.mkdtemp(prefix="everfit-bench-"))
                files = [place, folder / "flights", spec, suite, folder / steps]
                command = [sys.executable, str(BARE), *map(str, files), UNTIL]
                note(name, *timed(command, environment(place), place)[:2])
            note("server", *everfit_turn(spec, PREFECT_API_URL=url)[:2])
            took, used, reported, _ = everfit_turn(spec, **embedded)
            note("temporary", took, used)
    finally:
        server.terminate()
        server.wait(timeout=30)
    bare, same, with_server, temporary = (sorted(taken)[RUNS // 2] for taken in seconds.values())
    print(reported)
    turns = {
        "turn with a server running": with_server,
        "turn with the temporary server": temporary,
        "very first turn with it": very_first,
    }
    return {
        "bare script with four fits, s": round(bare, 1),
        f"bare script with the turn's {sum(step['do'] == 'fit' for step in work)} fits, s": round(same, 1),
        "bare script, MB": memory["bare"],
        "turn with a server running, MB": memory["server"],
        "turn with the temporary server, MB": memory["temporary"],
        **{f"{name}, times the script with four fits": round(taken / bare, 2) for name, taken in turns.items()},
        **{f"{name}, times the script with its fits": round(taken / same, 2) for name, taken in turns.items()},
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
