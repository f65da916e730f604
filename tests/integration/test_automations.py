"""Who is told of what: the automations that everfit makes, on a real Prefect server, with a real receiver."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE, temporary_settings
from support.deliveries import SPEC
from support.patience import Patient

from everfit.blocks.settings import Settings
from everfit.deployments.server import files
from everfit.deployments.server.bootstrap import Options, bootstrap

pytestmark = pytest.mark.long
OURS = ["everfit", "project:shop"]
QUIET_AFTER = 10
"""Seconds without monitoring after which somebody is told; Prefect takes no fewer."""


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    give_up = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < give_up, "it did not come true in time"
        time.sleep(0.1)
    return result


@pytest.fixture
def told() -> Iterator[tuple[str, list[str]]]:
    """The address of a receiver of notifications, and what it got."""
    received: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["subject"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """The test has what it wants to know."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", received
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def api(workspace: Path, tmp_path: Path) -> Iterator[httpx.Client]:
    """A Prefect server with all of its services, which the session's own leaves out."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{tmp_path / 'prefect.db'}",
        "PREFECT_SERVER_UI_ENABLED": "false",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--host=127.0.0.1", f"--port={port}"]
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=tmp_path)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api", timeout=30, transport=Patient()) as client:
            wait_for(lambda: _answers(client) or server.poll() is not None, 180)
            assert server.poll() is None, (tmp_path / "server.log").read_text()[-2000:]
            with temporary_settings(
                {PREFECT_API_URL: str(client.base_url), PREFECT_SERVER_ALLOW_EPHEMERAL_MODE: False}
            ):
                yield client
    finally:
        server.terminate()
        server.wait(30)


def _answers(client: httpx.Client) -> bool:
    try:
        return httpx.get(f"{client.base_url}health").status_code == 200
    except httpx.TransportError:
        return False


def ends_as(api: httpx.Client, flow: str, tags: list[str], *states: tuple[str, str]) -> str:
    """A run of a flow that goes through states, one after the other; its id."""
    flow_id = api.post("/flows/", json={"name": flow}).json()["id"]
    run = api.post("/flow_runs/", json={"flow_id": flow_id, "tags": tags, "state": {"type": "PENDING"}}).json()
    for kind, name in (("RUNNING", "Running"), *states):
        state = {"type": kind, "name": name, "message": f"{flow} is {name}"}
        answer = api.post(f"/flow_runs/{run['id']}/set_state", json={"state": state}).raise_for_status().json()
        assert answer["status"] == "ACCEPT", answer  # a state that Prefect aborts never was, and nobody is told of it
    return str(run["id"])


def look_again(api: httpx.Client, resource: str, state: str | None = None) -> None:
    """Let the server look at the newest event about a resource again, as it does when its database was locked."""
    body = {"filter": {"resource": {"id": [resource]}}, "limit": 20}

    def newest() -> Any:
        result = api.post("/events/filter", json=body).json()["events"]
        return [one for one in result if state is None or one["resource"].get("prefect.state-type") == state]

    event = wait_for(newest)[0]
    kept = {name: event[name] for name in ("event", "occurred", "resource", "related", "payload")}
    api.post("/events", json=[kept | {"id": str(uuid4())}]).raise_for_status()


def test_somebody_is_told_once_of_what_asks_for_a_person(
    api: httpx.Client, told: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERFIT_PROJECT", "shop")
    # Given a server that was set up with a notification block, and hours of quiet shortened to seconds
    folder = tmp_path / "deployments"
    (folder / "models").mkdir(parents=True)
    (folder / "models" / "deliveries.yaml").write_text(yaml.safe_dump(SPEC))
    content = files.read_automations_file().model_dump(mode="json")
    quiet = next(item for item in content["automations"] if item["name"].startswith("everfit not monitored"))
    assert quiet["trigger"]["within"] == 3 * 3600
    quiet["trigger"]["within"] = QUIET_AFTER
    (folder / "automations.yaml").write_text(yaml.safe_dump(content))
    url, received = told
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    hook = CustomWebhookNotificationBlock(name="on-call", url=url, json_data={"subject": "{{subject}}"})
    hook.save("on-call")
    with get_client(sync_client=True):
        bootstrap(Settings(), Options(notify="custom-webhook/on-call"))

    # When nothing is monitored, then somebody is told of that
    silence = "everfit: deliveries has not been monitored for three hours"
    wait_for(lambda: silence in received)
    (quiet_one,) = [
        item for item in api.post("/automations/filter", json={}).json() if item["name"].startswith("everfit not")
    ]
    api.patch(f"/automations/{quiet_one['id']}", json={"enabled": False}).raise_for_status()
    received.clear()

    # When runs of everfit's fail, whatever their states are called, and others' fail or ours end well
    failed = ends_as(api, "mine", OURS, ("FAILED", "DataRejected"), ("RUNNING", "Retrying"), ("CRASHED", "Crashed"))
    ends_as(api, "training", OURS, ("FAILED", "DataRejected"))  # it opens an incident by itself
    ends_as(api, "monitoring", OURS, ("CRASHED", "Crashed"))
    ends_as(api, "training", OURS, ("COMPLETED", "Promoted"))
    ends_as(api, "elsewhere", ["everfit", "project:another"], ("FAILED", "Failed"))
    ends_as(api, "training", ["theirs"], ("FAILED", "Failed"))
    # And the server looks at some of that twice
    look_again(api, f"prefect.flow-run.{failed}", "FAILED")
    # And, so that all before has been seen when it is told, one more fails
    ends_as(api, "ours", OURS, ("FAILED", "Failed"))

    # Then somebody is told once of each
    wait_for(lambda: any("ours" in item for item in received))
    wait_for(lambda: len(received) >= 4)
    assert sorted(received) == [
        "everfit: mine  ended as Crashed",
        "everfit: mine  ended as DataRejected",
        "everfit: monitoring  ended as Crashed",
        "everfit: ours  ended as Failed",
    ]
