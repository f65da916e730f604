"""The whole stack on one machine, operated by the API of the Prefect server alone."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml
from support.deliveries import SPEC, deliveries, write_month

from everfit.tasks.ledger import Ledger

MARCH = datetime(2024, 3, 1, tzinfo=UTC)
APRIL = MARCH + timedelta(days=28)
MODEL = {
    **SPEC,
    "training": {"window": "21d", "holdout": "7d", "candidates": ["logistic_regression"]},
    "monitoring": {"window": "14d", "persistence": 1, "of_windows": 1, "report": "never"},
}
OVER = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass
class Stack:
    """A stack that runs in a folder."""

    folder: Path
    api: httpx.Client

    def everfit(self, *arguments: str) -> str:
        """Run the command in the stack's folder."""
        command = [sys.executable, "-m", "everfit.deployments.cli", *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        if "api" in self.__dict__:
            environment["PREFECT_API_URL"] = str(self.api.base_url)
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def part(self, name: str) -> dict[str, int]:
        return dict(json.loads((self.folder / f".everfit/stack/{name}.json").read_text()))

    def runs(self, flow: str) -> list[dict[str, Any]]:
        """The flow's runs that are not yet to come."""
        asked = {"flows": {"name": {"any_": [flow]}}, "flow_runs": {"state": {"name": {"not_any_": ["Scheduled"]}}}}
        return list(self.api.post("/flow_runs/filter", json=asked).json())

    def run(self, deployment: str, **parameters: Any) -> dict[str, Any]:
        """Run a deployment to its end."""
        found = self.api.get(f"/deployments/name/{deployment}").json()
        asked = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        made = self.api.post(f"/deployments/{found['id']}/create_flow_run", json=asked).json()
        return dict(wait_for(lambda: self._over(made["id"])))

    def _over(self, run_id: str) -> dict[str, Any] | None:
        run: dict[str, Any] = self.api.get(f"/flow_runs/{run_id}").json()
        return run if run["state_type"] in OVER else None

    def emit(self, event: str, count: int = 1, **payload: str) -> None:
        """Send an event, as any program can."""
        resource = {"prefect.resource.id": "everfit.model.deliveries", "prefect.resource.name": "deliveries"}
        told = {"event": event, "resource": resource, "payload": payload}
        moment = datetime.now(UTC).isoformat()
        for first in range(0, count, 100):
            part = [told | {"id": str(uuid4()), "occurred": moment} for _ in range(first, min(first + 100, count))]
            self.api.post("/events", json=part).raise_for_status()

    @property
    def served(self) -> int | None:
        """The version that the prediction service answers with."""
        found = httpx.get(f"http://127.0.0.1:{self.part('service')['port']}/models/deliveries").json()["version"]
        return None if found is None else int(found)

    @property
    def turns(self) -> list[Any]:
        return Ledger.open(f"sqlite:///{self.folder / '.everfit/ledger.db'}").turns("deliveries")


def wait_for(condition: Callable[[], Any], seconds: float = 150.0) -> Any:
    give_up = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < give_up, "it did not come true in time"
        time.sleep(0.2)
    return found


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    models = tmp_path / "deployments/models"
    models.mkdir(parents=True)
    (models / "deliveries.yaml").write_text(yaml.safe_dump(MODEL))
    write_month(tmp_path, "winter", deliveries("2024-01-01", 60))
    running = Stack.__new__(Stack)
    running.folder = tmp_path
    try:
        running.everfit("up")
        running.api = httpx.Client(base_url=f"http://127.0.0.1:{running.part('prefect')['port']}/api", timeout=30)
        yield running
        running.api.close()
    finally:
        running.everfit("down")


@pytest.mark.long
def test_events_and_schedules_keep_the_model_fit_without_a_person(stack: Stack) -> None:
    # Given another project's deployment on the same server
    flow = stack.api.post("/flows/", json={"name": "training"}).json()
    theirs = stack.api.post("/deployments/", json={"name": "theirs", "flow_id": flow["id"], "tags": ["theirs"]}).json()

    # When the server is set up once more, then nothing changes, and theirs stays as it was
    assert json.loads(stack.everfit("bootstrap", "--json"))["changed"] is False
    assert stack.api.get(f"/deployments/{theirs['id']}").json() == theirs

    # When a thousand events say that data has come, then one turn is run, and its champion is served
    stack.emit("everfit.data.arrived", 1000, until=MARCH.isoformat())
    wait_for(lambda: [run for run in stack.runs("training") if run["state_name"] == "Promoted"])
    assert [turn.state for turn in stack.turns] == ["Promoted"]
    assert len(stack.runs("training")) == 1
    assert stack.served == 1
    wait_for(lambda: [run for run in stack.runs("service-check") if run["state_name"] == "Served"])

    # When far deliveries are suddenly the ones in time, and the worker dies while it looks at them
    write_month(stack.folder, "spring", deliveries("2024-03-01", 28, seed=1, strength=-3.0))
    assert stack.run("scoring/deliveries", since=MARCH.isoformat(), until=APRIL.isoformat())["state_name"] == "Scored"
    worker = stack.part("worker")["pid"]
    os.kill(worker, signal.SIGKILL)
    found = stack.run("monitoring/deliveries", until=APRIL.isoformat())

    # Then another worker is there, and monitoring and its event together give one training run, which mends it
    assert stack.part("worker")["pid"] != worker
    assert found["state_name"] == "RetrainingCalled"
    wait_for(lambda: len([run for run in stack.runs("training") if run["state_type"] in OVER]) == 2)
    asked = wait_for(lambda: [run for run in stack.runs("retraining") if run["state_type"] in OVER])
    assert {run["state_name"] for run in asked} <= {"TurnCalled", "TurnCalledAlready"}
    assert [(turn.trigger.kind, turn.state) for turn in stack.turns] == [("event", "Promoted"), ("quality", "Promoted")]
    assert len(stack.runs("training")) == 2
    assert stack.served == 2
