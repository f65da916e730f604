"""The flows `rollback` and `reconcile`, and the rollback that triage decides, on what two promotions left."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.events import emitted
from support.triage import drifted, signals

from everfit.blocks.settings import Settings
from everfit.flows.monitoring_flow import monitoring
from everfit.flows.reconcile_flow import reconcile
from everfit.flows.rollback_flow import rollback
from everfit.tasks.core.event_names import RELEASE_ROLLED_BACK
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.ledger import Ledger
from everfit.tasks.ledger.leases import Leases
from everfit.tasks.monitoring.champion_at import ROLLBACK, ChampionAt
from everfit.tasks.monitoring.monitored_model import MonitoredModel
from everfit.tasks.registry import model_files, model_registry
from everfit.tasks.registry.mlflow_client import tracking_client
from everfit.tasks.release import release as releasing
from everfit.tasks.release.release import release
from everfit.tasks.steps import actions, monitoring_states
from everfit.tasks.triage import TriageDecision, triage
from everfit.tasks.triage.case import TriagePolicy
from everfit.tasks.triage.history import History
from everfit.tasks.turns.context import Context

SPEC = """
name: flights
task: binary
source: {kind: files, path: flights.csv}
columns: {key: [id], event_time: at, target: late}
maturity: 1d
training: {window: 90d, holdout: 30d}
monitoring: {report: never}
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
    monkeypatch.setattr(model_files, "probe", lambda *_: None)  # There is no model behind these versions.
    state: Any = rollback(spec, reason="complaints", by="ann", return_state=True)

    assert (state.name, state.type.value) == ("RolledBack", "COMPLETED")
    entry = Ledger.open(Settings()).releases.of("flights")[-1]
    assert (entry.kind, entry.version, entry.reason, entry.actor) == ("rollback", 1, "complaints", "ann (as stated)")
    reported = emitted("flights", entry.at, RELEASE_ROLLED_BACK)[RELEASE_ROLLED_BACK]["release"]
    assert (reported["version"], reported["previous_version"], reported["reason"]) == (1, 2, "complaints")


def test_a_rollback_to_what_does_not_load_fails_and_changes_nothing(spec: str) -> None:
    state: Any = rollback(spec, reason="complaints", return_state=True)

    assert state.is_failed()
    assert "can't be loaded" in state.message
    assert len(Ledger.open(Settings()).releases.of("flights")) == 2


def test_reconcile_says_what_it_did(spec: str) -> None:
    tracking_client(Settings()).set_registered_model_alias("flights", "champion", "1")

    assert "moved from version 2 to version 1" in reconcile(spec, return_state=True).message
    assert reconcile(spec, return_state=True).message == "ledger and registry agreed already"


def test_monitoring_begins_with_what_is_really_the_champion(spec: str) -> None:
    client, ledger = tracking_client(Settings()), Ledger.open(Settings())
    client.set_registered_model_alias("flights", "champion", "1")

    for _ in range(2):  # there is no reference behind these versions, so that is as far as it comes
        assert monitoring(spec, UNTIL, return_state=True).is_failed()

    assert [(entry.kind, entry.version) for entry in ledger.releases.of("flights")[2:]] == [("outside", 1)]


UNTIL = datetime(2013, 4, 1, tzinfo=UTC)


def monitored(spec: str, until: datetime = UNTIL) -> MonitoredModel:
    """A window that version 2 was judged in."""
    context = Context(load_spec(spec), Settings())
    champion = ChampionAt(model="flights", version=2, run_id="r", released=UNTIL, previous_version=1)
    version = model_registry.model_version(context.mlflow, "flights", 2)
    return MonitoredModel(context, until, champion, version, (), ())


def decided(name: str = "lost", verdict: str = "roll_back") -> TriageDecision:
    made = triage(signals(drift=drifted("x")), History(), TriagePolicy())
    return made.model_copy(update={"id": name, "verdict": verdict, "reasons": ("worse than version 1",)})


def rolled_back(spec: str, name: str = "lost", until: datetime = UNTIL) -> bool:
    result: bool = actions.roll_back_champion.fn(monitored(spec, until), decided(name))
    return result


def noted() -> list[tuple[str, Any, Any]]:
    result = Ledger.open(Settings()).decisions.of("flights", kind=ROLLBACK)
    return [(entry.id, entry.until, entry.record["seq"]) for entry in result]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "probe", lambda *_: None)  # There is no model behind these versions.


@pytest.mark.usefixtures("loads")
def test_what_triage_takes_back_is_taken_back_once(spec: str) -> None:
    since = datetime.now(UTC)
    assert rolled_back(spec)
    assert rolled_back(spec)  # looked at again
    assert rolled_back(spec, "of another window", datetime(2013, 4, 2, tzinfo=UTC))

    assert [(entry.kind, entry.version) for entry in Ledger.open(Settings()).releases.of("flights")[2:]] == [
        ("rollback", 1)
    ]
    assert noted() == [("lost/rollback", UNTIL, 3)]
    assert emitted("flights", since, RELEASE_ROLLED_BACK)[RELEASE_ROLLED_BACK]["release"]["version"] == 1


@pytest.mark.usefixtures("loads")
def test_a_rollback_that_was_broken_off_before_the_ledger_had_its_place_gets_it(
    spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def dies(*given: Any, **named: Any) -> Any:
        releasing_rollback(*given, **named)
        raise Killed

    releasing_rollback = releasing.rollback
    monkeypatch.setattr(releasing, "rollback", dies)
    with pytest.raises(Killed):
        rolled_back(spec)
    assert noted() == []
    since = datetime.now(UTC)

    assert rolled_back(spec)

    assert noted() == [("lost/rollback", UNTIL, 3)]
    assert emitted("flights", since, RELEASE_ROLLED_BACK)[RELEASE_ROLLED_BACK]["release"]["seq"] == 3


@pytest.mark.usefixtures("loads")
def test_triage_takes_back_nothing_that_came_while_it_waited(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client, ledger, lease = tracking_client(Settings()), Ledger.open(Settings()), Leases.hold
    client.create_model_version("flights", "file:///nowhere", run_id=client.get_model_version("flights", "1").run_id)

    def taken_late(*given: Any, **named: Any) -> Any:
        monkeypatch.setattr(Leases, "hold", lease)
        release(ledger, client, "flights", 3, expected_previous=2, reason="better", actor="gate")
        return lease(*given, **named)

    monkeypatch.setattr(Leases, "hold", taken_late)
    assert not rolled_back(spec)
    assert not rolled_back(spec)
    current = ledger.releases.current("flights")
    assert current is not None
    assert (current.version, noted()) == (3, [])
    reported = [
        monitoring_states.monitoring_state(
            monitored(spec), signals(), decided(verdict=verdict), None, "run", rolled_back=done
        ).name
        for verdict, done in (("roll_back", False), ("roll_back", True), ("watch", False))
    ]
    assert reported == ["RollbackOvertaken", "RolledBack", "Watching"]
