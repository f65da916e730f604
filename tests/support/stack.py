"""The whole stack of `everfit up`, in a folder of its own."""

import json
import os
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
from support.patience import Patient

from everfit.tasks.ledger import Ledger

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


BEFORE = TODAY - timedelta(days=28)


MODEL = {
    **SPEC,
    "training": {"window": "21d", "holdout": "7d", "candidates": ["logistic_regression"]},
    "monitoring": {"window": "14d", "persistence": 1, "persistence_windows": 1, "report": "never"},
}


PLANTED = "planted-database-5f0e7c"


OVER = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass
class Stack:
    """A stack that runs in a folder."""

    folder: Path
    api: httpx.Client
    ledger_url: str

    def everfit(self, *arguments: str) -> str:
        """Run the command in the stack's folder."""
        command = [sys.executable, "-m", "everfit.deployments.cli.main", *arguments]
        kept = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
        environment = {
            name: value for name, value in os.environ.items() if name == kept or not name.startswith("PREFECT_")
        }
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
        body = {"flows": {"name": {"any_": [flow]}}, "flow_runs": {"state": {"name": {"not_any_": ["Scheduled"]}}}}
        return list(self.api.post("/flow_runs/filter", json=body).json())

    def begin(self, deployment: str, **parameters: Any) -> str:
        """Ask for a run of a deployment, as its form does."""
        result = self.api.get(f"/deployments/name/{deployment}").json()
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        return str(self.api.post(f"/deployments/{result['id']}/create_flow_run", json=body).json()["id"])

    def run(self, deployment: str, **parameters: Any) -> dict[str, Any]:
        """Run a deployment to its end."""
        run_id = self.begin(deployment, **parameters)
        return dict(wait_for(lambda: self.over(run_id)))

    def schedule(self, deployment: str) -> None:
        """Let a deployment run each minute, for the first time in some seconds."""
        result = self.api.get(f"/deployments/name/{deployment}").json()
        begin = datetime.now(UTC) + timedelta(seconds=25)  # the scheduler looks every five, and passes over the past
        schedule = {"interval": 60, "anchor_date": begin.isoformat(), "timezone": "UTC"}
        self.api.post(
            f"/deployments/{result['id']}/schedules", json=[{"schedule": schedule, "active": True}]
        ).raise_for_status()

    def tasks(self, run_id: str) -> set[str]:
        """Names of the tasks of a run that have begun."""
        result = self.api.post("/task_runs/filter", json={"flow_runs": {"id": {"any_": [run_id]}}}).json()
        return {task["name"].rpartition("-")[0] for task in result}

    def over(self, run_id: str) -> dict[str, Any] | None:
        run: dict[str, Any] = self.api.get(f"/flow_runs/{run_id}").json()
        return run if run["state_type"] in OVER else None

    def emit(self, event: str, count: int = 1, **payload: str) -> None:
        """Send an event, as any program can; many come by the hundred, within a minute."""
        resource = {"prefect.resource.id": "everfit.model.deliveries", "prefect.resource.name": "deliveries"}
        content = {"event": event, "resource": resource, "payload": payload}
        moment, began = datetime.now(UTC).isoformat(), time.monotonic()
        for first in range(0, count, 100):
            part = [content | {"id": str(uuid4()), "occurred": moment} for _ in range(first, min(first + 100, count))]
            self.api.post("/events", json=part).raise_for_status()
            due = began + 60 * (first + 100) / count if first + 100 < count else 0.0
            wait_for(lambda due=due: time.monotonic() >= due, 70)

    @property
    def served(self) -> int | None:
        """The version that the prediction service answers with."""
        address = f"http://127.0.0.1:{self.part('service')['port']}/models/deliveries"
        try:
            result = httpx.get(address).json()["version"]
        except httpx.TransportError:
            return None  # it is being started again
        return None if result is None else int(result)

    @property
    def turns(self) -> list[Any]:
        return self.ledger.turns.of("deliveries")

    @property
    def ledger(self) -> Ledger:
        return Ledger.open(self.ledger_url)


def wait_for(condition: Callable[[], Any], seconds: float = 150.0) -> Any:
    give_up = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < give_up, "it did not come true in time"
        time.sleep(0.2)
    return result


def day(moment: datetime) -> str:
    return moment.date().isoformat()


def started(folder: Path, model: dict[str, Any], **environment: str) -> Iterator[Stack]:
    """A stack in a folder, with sixty days of deliveries."""
    models = folder / "deployments/models"
    models.mkdir(parents=True)
    (models / "deliveries.yaml").write_text(yaml.safe_dump(model))
    write_month(folder, "winter", deliveries(day(BEFORE - timedelta(days=60)), 60))
    running = Stack.__new__(Stack)
    running.folder, running.ledger_url = folder, f"sqlite:///{folder / '.everfit/ledger.db'}"
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environment.items():
            patched.setenv(name, value)
        try:
            running.everfit("up")
            running.api = httpx.Client(
                base_url=f"http://127.0.0.1:{running.part('prefect')['port']}/api",
                timeout=30,
                transport=Patient(),
            )
            yield running
            running.api.close()
        finally:
            running.everfit("down")
