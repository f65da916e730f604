"""The commands of who is on call: each mistake is one line and changes nothing."""

import json
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL
from support.events import emitted
from support.processes import everfit

from everfit.blocks.errors import LedgerError
from everfit.blocks.settings import Settings
from everfit.deployments.cli import decisions
from everfit.tasks.core.event_names import RELEASE_ROLLED_BACK
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger import Ledger
from everfit.tasks.ledger.leases import Leases
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.mlflow_client import tracking_client
from everfit.tasks.release import approvals
from everfit.tasks.release.release import release

SPEC = """
name: flights
task: binary
source: {kind: files, path: flights.csv}
columns: {key: [id], event_time: at, target: late}
"""


@pytest.fixture
def ledger(workspace: Path, flights_registry: Any, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """Version 1 was champion, version 2 is; a turn has ended, and another model has had one."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", flights_registry.copy(workspace))
    Path("flights.yaml").write_text(SPEC)
    found, client = Ledger.open(Settings()), tracking_client(Settings())
    release(found, client, "flights", 1, expected_previous=None, reason="first", actor="gate")
    release(found, client, "flights", 2, expected_previous=1, reason="better", actor="gate")
    for model in ("flights", "parcels"):
        with found.turns.take(model, Trigger(), Window(until="2013-03-01T00:00:00Z")) as turn:
            found.turns.finish(turn, state="ChampionKept", verdict="keep", reasons=["Kept champion 2: no gain"])
    return found


def left(ledger: Ledger) -> Any:
    champion = model_registry.champion(tracking_client(Settings()), "flights")
    return champion, ledger.releases.of("flights"), ledger.turns.of("flights"), ledger.decisions.of("flights")


def test_a_mistake_is_one_line_and_changes_nothing(ledger: Ledger):
    mine, others = (ledger.turns.of(model)[0].id for model in ("flights", "parcels"))
    who = ["--by", "ann", "--reason", "so"]
    mistakes = {
        "has no version 9; it has 1, 2, 3, 4": ["rollback", "flights.yaml", "--to", "9", "--reason", "x"],
        "version 2 is the champion of 'flights' since release 2": [
            "rollback",
            "flights.yaml",
            "--to",
            "2",
            "--reason",
            "x",
        ],
        "everfit loads only 'skops'": ["rollback", "flights.yaml", "--to", "4", "--reason", "x"],
        "the reason is empty": ["rollback", "flights.yaml", "--reason", " "],
        "'nowhere'": ["rollback", "nowhere", "--reason", "x"],
        "there is no turn 'flights-1'": ["approve", "flights.yaml", "flights-1", *who],
        "doesn't wait for approval, its state is 'ChampionKept' (Kept champion 2": [
            "approve",
            "flights.yaml",
            mine,
            *who,
        ],
        "is of the model 'parcels' and not of 'flights'": ["decline", "flights.yaml", others, *who],
        "there is no turn 'x'": ["explain", "x"],
        "gate.min_gain: 1.0 is as wide as the range of roc_auc": ["train", "greedy.yaml", "--until", "2013-03-01"],
    }
    Path("greedy.yaml").write_text(SPEC + "gate: {min_gain: 1}\n")
    before = left(ledger)

    for words, (code, out, err) in zip(mistakes, everfit(*mistakes.values()), strict=True):
        assert (code, out) == (2, ""), err
        assert words in err
        assert err.count("\n") == 1
    assert left(ledger) == before


def test_a_rollback_that_is_made_is_told_as_such_whatever_fails_after_it(
    ledger: Ledger, prefect_server: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def fails(*_: object) -> None:
        raise LedgerError("the ledger did not answer")

    monkeypatch.setattr(Leases, "give_back", fails)
    monkeypatch.setattr(approvals, "reconcile", fails)
    decisions.rollback("flights.yaml", "complaints", by="ann", as_json=True)

    said = json.loads(capsys.readouterr().out)
    assert (said["version"], said["state"]) == (1, "verified")
    assert said["done"] == [
        "The rollback is made, its follow-up was not (the ledger did not answer); run everfit reconcile flights"
    ]


def test_each_command_answers_with_one_json_object(ledger: Ledger):
    turn = ledger.turns.of("flights")[0].id
    tracking_client(Settings()).set_registered_model_alias("flights", "champion", "3")

    said = everfit(
        ["reconcile", "flights.yaml", "--json"],
        ["rollback", "flights.yaml", "--to", "1", "--reason", "complaints", "--by", "ann", "--json"],
        ["explain", turn, "--json"],
    )

    assert [(code, out.count("\n")) for code, out, _ in said] == [(0, 1)] * 3
    done, entry, story = (json.loads(out) for _, out, _ in said)
    assert "moved from version 2 to version 3 outside of everfit" in done["done"][0]
    assert (entry["version"], entry["actor"], entry["state"]) == (1, "ann (as stated)", "verified")
    assert (story["state"], story["reasons"]) == ("ChampionKept", ["Kept champion 2: no gain"])


def test_a_server_that_is_configured_hears_of_a_rollback(ledger: Ledger, prefect_server: None):
    server = PREFECT_API_URL.value()
    assert server is not None

    ((code, _, err),) = everfit(["rollback", "flights.yaml", "--reason", "complaints"], PREFECT_API_URL=server)

    assert code == 0, err
    entry = ledger.releases.of("flights")[-1]
    assert emitted("flights", entry.at, RELEASE_ROLLED_BACK)[RELEASE_ROLLED_BACK]["release"]["seq"] == entry.seq


def test_people_are_told_in_words(ledger: Ledger):
    turn = ledger.turns.of("flights")[0].id

    said = everfit(
        ["explain", turn], ["rollback", "flights.yaml", "--reason", "complaints"], ["reconcile", "flights.yaml"]
    )

    story, rollback, reconcile = (out for _, out, _ in said)
    assert "ChampionKept" in story
    assert "Kept champion 2: no gain" in story
    assert "Version 1 is the champion of flights again in place of version 2 (release 3): complaints" in rollback
    assert "nothing to do" in reconcile


def test_a_champion_can_be_gone_back_from_while_the_configured_server_is_down(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
):
    Path("deployments/models").mkdir(parents=True)
    Path("flights.yaml").rename("deployments/models/flights.yaml")
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")

    back, none, unknown = everfit(
        ["rollback", "flights", "--to", "1", "--reason", "complaints", "--by", "ann", "--json"],
        ["trial", "flights", "--stop", "--by", "ann", "--reason", "complaints"],
        ["rollback", "parcels", "--reason", "complaints"],
    )

    assert (back[0], json.loads(back[1])["version"]) == (0, 1), back
    assert "specs are read from files, and the server is not notified" in back[2]
    assert back[2].count("\n") == 1
    assert "no version of 'flights' is on trial" in none[2]
    assert unknown[0] == 2
    assert "give the path of its .yaml file" in unknown[2].splitlines()[-1]
