"""The flows `rollback` and `reconcile` on what two promotions left."""

from pathlib import Path
from typing import Any

import pytest
from support.events import emitted

from everfit.blocks.settings import Settings
from everfit.flows.reconcile import reconcile
from everfit.flows.rollback import rollback
from everfit.tasks.events import RELEASE_ROLLED_BACK
from everfit.tasks.ledger import Ledger
from everfit.tasks.mlflow_store import tracking_client
from everfit.tasks.releasing import registry
from everfit.tasks.releasing.release import release

SPEC = """
name: flights
task: binary
source: {kind: files, path: flights.csv}
columns: {key: [id], event_time: at, target: late}
maturity: 1d
training: {window: 90d, holdout: 30d}
"""


@pytest.fixture
def spec(workspace: Path, mlflow_uri: str, prefect_server: None) -> str:
    client = tracking_client(Settings())
    run = client.create_run(client.create_experiment("flights"))
    client.create_registered_model("flights")
    for _ in range(2):
        client.create_model_version("flights", "file:///nowhere", run_id=run.info.run_id)
    ledger = Ledger.open(Settings())
    release(ledger, client, "flights", 1, expected_previous=None, reason="first", actor="gate")
    release(ledger, client, "flights", 2, expected_previous=1, reason="better", actor="gate")
    path = workspace.parent / "flights.yaml"
    path.write_text(SPEC)
    return str(path)


def test_a_rollback_ends_as_rolled_back_and_is_in_the_ledger(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "probe", lambda *_: None)  # There is no model behind these versions.
    state: Any = rollback(spec, why="complaints", by="ann", return_state=True)

    assert (state.name, state.type.value) == ("RolledBack", "COMPLETED")
    entry = Ledger.open(Settings()).releases("flights")[-1]
    assert (entry.kind, entry.version, entry.reason, entry.actor) == ("rollback", 1, "complaints", "ann")
    told = emitted("flights", entry.at, RELEASE_ROLLED_BACK)[RELEASE_ROLLED_BACK]["release"]
    assert (told["version"], told["previous_version"], told["reason"]) == (1, 2, "complaints")


def test_a_rollback_to_what_does_not_load_fails_and_changes_nothing(spec: str) -> None:
    state: Any = rollback(spec, why="complaints", return_state=True)

    assert state.is_failed()
    assert "can't be loaded" in state.message
    assert len(Ledger.open(Settings()).releases("flights")) == 2


def test_reconcile_says_what_it_did(spec: str) -> None:
    tracking_client(Settings()).set_registered_model_alias("flights", "champion", "1")

    assert "moved from version 2 to version 1" in reconcile(spec, return_state=True).message
    assert reconcile(spec, return_state=True).message == "ledger and registry agreed already"
