"""What somebody changes in MLflow by hand is seen within seconds by `everfit watch`, on a real MLflow server."""

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from support.deliveries import SPEC
from support.warm_popen import WarmPopen

from everfit.blocks.errors import ModelError
from everfit.blocks.settings import Settings
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.ledger import Ledger
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.readers import MlflowReader
from everfit.tasks.registry.rest_reader import RestReader
from everfit.tasks.release.registry_watch import follow_registry, watch_registry
from everfit.tasks.release.release import release
from everfit.tasks.turns.context import Context

WITHIN = 5.0
"""Seconds within which a change is to be seen."""


def until(condition: Callable[[], Any], seconds: float) -> Any:
    give_up = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < give_up, "it did not come true in time"
        time.sleep(0.05)
    return result


@pytest.fixture
def served(flights_registry: Any, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An MLflow server with versions of the model `flights`."""
    store = flights_registry.copy(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--host=127.0.0.1", f"--port={port}", "--workers=1", f"--backend-store-uri={store}"]
    with (tmp_path / "mlflow.log").open("wb") as log:
        server = WarmPopen([sys.executable, "-m", "mlflow", "server", *options], stdout=log, stderr=log)

    def answers() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://127.0.0.1:{port}/health").is_success
        return False

    try:
        until(lambda: answers() or server.poll() is not None, 180)
        assert server.poll() is None, (tmp_path / "mlflow.log").read_text()[-2000:]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        yield
    finally:
        server.terminate()
        server.wait(30)


@pytest.mark.usefixtures("served")
def test_a_change_by_hand_is_seen_within_seconds_and_people_are_notified(workspace: Path) -> None:
    # Given a champion, and a watch each half second
    path = workspace.parent / "flights.yaml"
    path.write_text(yaml.safe_dump(SPEC | {"name": "flights"}))
    context = Context(load_spec(str(path)), Settings())
    ledger, client = context.ledger, context.mlflow
    release(ledger, client, "flights", 1, expected_previous=None, reason="first", actor="gate")
    second = release(ledger, client, "flights", 2, expected_previous=1, reason="better", actor="gate")
    # A service reads the server without MLflow's client, and finds the same
    light, own = RestReader(os.environ["MLFLOW_TRACKING_URI"]), MlflowReader(lambda: client)
    assert light.by_alias("flights", "champion") == own.by_alias("flights", "champion") is not None
    assert [light.by_alias(name, "challenger") for name in ("flights", "unknown")] == [None, None]
    assert light.all_aliases(50) == own.all_aliases(50) is not None
    light.close()
    over = threading.Event()
    watching = threading.Thread(
        target=watch_registry, args=([context], lambda: over.wait(0.5)), kwargs={"announce": False}
    )
    watching.start()
    try:
        # When somebody moves the alias, then it is a release from outside
        model_registry.set_alias(client, "flights", model_registry.CHAMPION, 1)
        until(lambda: _champion(ledger) == (1, "outside"), WITHIN)
        until(lambda: _said(ledger, "the champion was changed in MLflow"), WITHIN)

        # When somebody deletes the champion's run, or the experiment, then people are notified
        client.delete_run(second.run_id)
        model_registry.set_alias(client, "flights", model_registry.CHAMPION, 2)
        until(lambda: _said(ledger, f"the run {second.run_id} of version 2 was deleted outside of everfit"), WITHIN)
        client.restore_run(second.run_id)
        until(lambda: not ledger.incidents.open("flights"), WITHIN)
        experiment = client.create_experiment("flights-monitoring")
        client.delete_experiment(experiment)
        until(lambda: _said(ledger, "the experiment 'flights-monitoring' was deleted outside of everfit"), WITHIN)
        client.restore_experiment(experiment)

        # When somebody deletes the champion, then the one before answers again
        model_registry.set_alias(client, "flights", model_registry.CHAMPION, None)
        client.delete_model_version("flights", "2")
        until(lambda: _champion(ledger)[0] == 1, WITHIN)
        until(lambda: _said(ledger, "version 2 was deleted outside of everfit"), WITHIN)
    finally:
        over.set()
        watching.join(30)
    assert not watching.is_alive()


def test_people_are_notified_of_a_change_whose_repair_no_service_confirms(
    flights_registry: Any, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", flights_registry.copy(tmp_path))
    path = workspace.parent / "flights.yaml"
    nobody = {"services": ["http://127.0.0.1:9"], "verify_timeout": "1s"}
    path.write_text(yaml.safe_dump(SPEC | {"name": "flights", "release": nobody}))
    context = Context(load_spec(str(path)), Settings())
    release(context.ledger, context.mlflow, "flights", 1, expected_previous=None, reason="first", actor="gate")

    model_registry.set_alias(context.mlflow, "flights", model_registry.CHAMPION, None)
    with pytest.raises(ModelError, match="is version 1 again, but it is not served"):
        follow_registry(context, announce=False)

    assert _said(context.ledger, "the champion alias was deleted outside of everfit")
    assert _said(context.ledger, "it is not served")


def _champion(ledger: Ledger) -> tuple[int, str]:
    current = ledger.releases.current("flights")
    assert current is not None
    return current.version, current.kind


def _said(ledger: Ledger, sentence: str) -> bool:
    """Whether an incident, open or over, says it."""
    found = [incident.alert for incident in ledger.incidents.of("flights")]
    return any(sentence in " ".join([alert["what"], *alert["why"]]) for alert in found)
