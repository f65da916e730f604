"""`everfit quarantine`, `everfit expectations` and `everfit forget`, as a person types them."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.turns import Loop, sales
from typer.testing import CliRunner

from everfit.blocks.errors import EverfitError
from everfit.blocks.settings import Settings
from everfit.deployments.cli import environment
from everfit.deployments.cli.commands import app
from everfit.deployments.cli.environment import NO_TELEMETRY
from everfit.tasks.ledger import Ledger
from everfit.tasks.storage.workspace import Workspace

FEBRUARY = datetime(2024, 2, 1, tzinfo=UTC)


@pytest.fixture
def model(workspace: Path) -> str:
    """100 sales, three of which are dearer than the suite allows."""
    bound = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "price", "max_value": 100}}
    loop = Loop(workspace.parent, expectations={"suite": [bound]})
    loop.workspace = Workspace(str(workspace))
    rows = sales(100)
    rows.loc[[3, 4, 5], "price"] = [150.0, 151.0, 5_000.0]
    loop.write("sales.csv", rows)
    loop.turn(FEBRUARY)
    path = workspace.parent / "sales.yaml"
    path.write_text(yaml.safe_dump(loop.spec.content()))
    return str(path)


def run(*arguments: str, fails: str = "") -> Any:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=True)
    if fails:
        assert isinstance(done.exception, EverfitError)
        assert fails in str(done.exception)
        return None
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


@pytest.mark.parametrize("command", ["monitor", "score", "labels", "upkeep"])
def test_a_mistaken_spec_is_told_before_a_server_is_started(
    command: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(environment, "start_temporary_server", lambda: pytest.fail("a server was started"))

    run(command, "nowhere.yaml", fails="there is no spec file 'nowhere.yaml'")


def test_an_unknown_event_is_reported_before_a_missing_server(workspace: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(environment, "has_server", lambda: False)

    run("emit", "data-arived", "sales", fails="there is no event 'data-arived'; known are")
    run("emit", "data-arrived", "sales", fails="no Prefect server is configured")


def test_the_quarantine_is_listed_accepted_and_discarded(model: str):
    assert "3  expect_column_values_to_be_between(column=price" in run("quarantine", model)
    listed = run("quarantine", model, "--json")
    assert (listed["rows"], len(listed["groups"][0]["samples"])) == (3, 3)
    (turn,) = listed["groups"][0]["turns"]
    assert [run("quarantine", model, "--turn", one, "--json")["rows"] for one in (turn, "another")] == [3, 0]
    run("quarantine", model, "--accept", "--discard", fails="exclude each other")

    content = yaml.safe_load(Path(model).read_text())
    Path(model).write_text(yaml.safe_dump(content | {"roles": {"quarantine": ["nobody-here"]}}))
    assert run("quarantine", model, "--json")["rows"] == 3  # everybody may look
    for option in ("--accept", "--discard", "--recheck"):
        run("quarantine", model, option, fails="may not decide about quarantined rows for 'sales'")
    assert len(Ledger.open(Settings()).decisions.of("sales", kind="role")) == 3

    # The suite was too strict; mended, it lets two of the three in.
    content["expectations"] = {"suite": content["expectations"]["suite"], "max_bad_share": 0.5}
    content["expectations"]["suite"][0]["kwargs"]["max_value"] = 1_000
    Path(model).write_text(yaml.safe_dump(content))
    assert run("quarantine", model, "--accept").startswith("sales: 2 of 3 rows accepted, 1 still fail")
    assert run("quarantine", model, "--discard", "--reason", "no such reason", "--json")["discarded"] == 0
    assert "sales: 1 rows discarded" in run("quarantine", model, "--discard")
    for nothing in ("--discard", "--accept"):  # and the ledger records nothing
        assert "no open rows in quarantine, so nothing was changed" in run("quarantine", model, nothing)

    assert "sales: 0 open rows" in run("quarantine", model)
    decisions = Ledger.open(Settings()).decisions.of("sales", kind="quarantine")
    assert [one.verdict for one in decisions] == ["accepted", "discarded"]
    assert all(one.record["by"] in one.reasons[0] for one in decisions)


def test_a_workspace_that_knows_nothing_of_the_model_is_no_good_news(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("EVERFIT_WORKSPACE", str(tmp_path / "another"))

    run("quarantine", model, fails="has no data of 'sales' yet")


@pytest.mark.parametrize("deed", ["--discard", "--accept"])
def test_nothing_is_settled_that_the_ledger_does_not_know_of(model: str, monkeypatch: pytest.MonkeyPatch, deed: str):
    with monkeypatch.context() as patched:
        patched.setenv("EVERFIT_LEDGER_URL", "postgresql+psycopg://nobody@127.0.0.1:1/nothing")
        run("quarantine", model, deed, fails="the ledger")

    assert "sales: 3 open rows" in run("quarantine", model)


@pytest.mark.parametrize("command", ["quarantine", "expectations"])
def test_nothing_is_sent_to_anybody(model: str, monkeypatch: pytest.MonkeyPatch, command: str):
    for name in NO_TELEMETRY:
        monkeypatch.setenv(name, "")

    run(command, model)

    assert {name: os.environ[name] for name in NO_TELEMETRY} == NO_TELEMETRY


def test_expectations_are_proposed_compared_and_kept(model: str):
    run("expectations", model, "--write", fails="the suite is in the spec")
    content = yaml.safe_load(Path(model).read_text())
    content["expectations"] = {}
    Path(model).write_text(yaml.safe_dump(content))

    proposed = run("expectations", model, "--json")
    kept = run("expectations", model, "--write")
    again = run("expectations", model, "--json")

    assert (proposed["present"], proposed["written"]) == ([], False)
    assert "Saved to" in kept
    assert again["present"] == proposed["proposed"]
    assert again["difference"] == []
    run("expectations", model, "--until", "soon", fails="--until 'soon' is not a time")
    run("expectations", model, "--until", "2020-01-01", fails="has no rows to propose expectations from")


@pytest.mark.usefixtures("mlflow_uri")
def test_a_row_is_forgotten_on_request(model: str):
    done = run("forget", model, "--key", "7", "--json")

    assert done["rows"]["dataset"] == 1
    assert "The deletion is on record" in run("forget", model, "--key", "id=3")
    assert "No row has the key 12345" in run("forget", model, "--key", "12345")
    assert "sales: 2 open rows" in run("quarantine", model)
    assert run("forget", model, "--key", "3", "--undo") == "Rows of the key come in again.\n"
    assert run("forget", model, "--key", "3", "--undo", "--json") == {"model": "sales", "allowed": False}
    run("forget", model, "--key", "shop=north", fails="'shop' is not a column of the key")
