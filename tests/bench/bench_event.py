"""From an event to a champion that is served, on the whole stack of one machine, asked by HTTP alone; with its parts.

The event is sent to Prefect's API as any program can; the prediction service is asked until it answers with the new
version. Everfit's own part is what the turn's process takes beyond a bare script that makes the same library calls.
"""

import json
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from bench_turn import BARE, EVERFIT, UNTIL, environment, timed

MODEL = "flight-delays"
PARTS = {
    "data": ("ingest", "validate", "commit", "split", "take_snapshot", "already_trained", "training_data"),
    "search and fit": ("try_candidate", "fit"),
    "evidence": ("evaluate", "preview_gate"),
    "refit, conversion, registry": ("refit", "convert", "register"),
    "gate": ("check_serving", "apply_gate"),
    "log": ("track",),
}
"""Tasks of a turn, in their order; each part ends with the last of its tasks."""


def wait_for(seconds: float, found: Any) -> Any:
    give_up = time.monotonic() + seconds
    while not (answer := found()):
        if time.monotonic() > give_up:
            raise TimeoutError(f"it did not come true within {seconds} s")
        time.sleep(0.05)
    return answer


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def from_event_to_served(folder: Path) -> dict[str, float]:
    """Send the event, and take the times from what Prefect has written down."""
    ports = {
        name: json.loads((folder / f".everfit/stack/{name}.json").read_text())["port"]
        for name in ("prefect", "service")
    }
    api = httpx.Client(base_url=f"http://127.0.0.1:{ports['prefect']}/api", timeout=30)
    service = httpx.Client(base_url=f"http://127.0.0.1:{ports['service']}", timeout=30)
    resource = {"prefect.resource.id": f"everfit.model.{MODEL}", "prefect.resource.name": MODEL}
    sent = datetime.now(UTC)
    event = {"event": "everfit.data.arrived", "resource": resource, "payload": {"until": f"{UNTIL}T00:00:00Z"}}
    api.post("/events", json=[event | {"id": str(uuid4()), "occurred": sent.isoformat()}]).raise_for_status()
    wait_for(300, lambda: service.get(f"/models/{MODEL}").json().get("version"))
    served = time.time()

    body = {"flows": {"name": {"any_": ["training"]}}}
    (run,) = wait_for(60, lambda: [one for one in api.post("/flow_runs/filter", json=body).json() if one["end_time"]])
    states = {
        one["type"]: moment(one["timestamp"]) for one in api.get(f"/flow_run_states/?flow_run_id={run['id']}").json()
    }
    tasks = api.post("/task_runs/filter", json={"flow_runs": {"id": {"any_": [run["id"]]}}}).json()
    ended: dict[str, float] = {}
    for task in tasks:
        name = task["name"].rpartition("-")[0]
        ended[name] = max(ended.get(name, 0.0), moment(task["end_time"]))

    marks = {
        "event to run": moment(run["created"]),
        "run picked up by the worker": states["PENDING"],
        "process start, first imports": states["RUNNING"],
    }
    for part, names in PARTS.items():
        marks[part] = max(ended[name] for name in names if name in ended)
    marks["release until it is served"] = served
    parts, before = {}, sent.timestamp()
    for part, end in marks.items():
        parts[f"{part}, s"] = round(end - before, 2)
        before = end
    parts["event to served, s"] = round(served - sent.timestamp(), 2)
    parts["of it the turn's process, s"] = round(served - states["PENDING"], 2)
    return parts


def run() -> dict[str, float]:
    """Measure with a stack of its own, that is stopped again."""
    folder = Path(tempfile.mkdtemp(prefix="everfit-bench-"))
    models = folder / "deployments/models"
    models.mkdir(parents=True)
    spec = models / f"{MODEL}.yaml"
    spec.write_text((Path(__file__).parents[2] / "deployments/models" / spec.name).read_text())
    own = environment(folder, EVERFIT_WORKSPACE=str(folder / ".everfit"))
    try:
        timed([str(EVERFIT), "up"], own, folder)
        parts = from_event_to_served(folder)
    finally:
        subprocess.run([str(EVERFIT), "down"], env=own, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    place, none = Path(tempfile.mkdtemp(prefix="everfit-bench-")), folder / "none.json"
    none.write_text("[]")
    suite = folder / f".everfit/{MODEL}/expectations.yaml"
    files = [place, folder / ".everfit/demo/flights", spec, suite, none]
    command = [sys.executable, str(BARE), *map(str, files), UNTIL]
    bare, _ = timed(command, environment(place), place)
    parts["bare script with the same library calls, s"] = round(bare, 2)
    parts["everfit's own part, s"] = round(parts["of it the turn's process, s"] - bare, 2)
    return parts


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
