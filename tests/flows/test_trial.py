"""A challenger that is better is tried first, where the spec says so."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.deliveries import SPEC, deliveries, write_month
from typer.testing import CliRunner

from everfit.blocks.settings import Settings
from everfit.deployments.cli.commands import app
from everfit.deployments.cli.runs import result_of
from everfit.flows.training_flow import training
from everfit.flows.trial_flow import trial
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.registry import model_registry
from everfit.tasks.release.traffic.traffic_split import read_split
from everfit.tasks.turns.context import Context

pytestmark = pytest.mark.usefixtures("prefect_server")

MARCH, MAY = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC)


def test_what_the_gate_promotes_is_on_trial_until_a_look_or_a_person_ends_it(
    workspace: Path, mlflow_uri: str, tmp_path: Path
) -> None:
    write_month(tmp_path, "winter", deliveries("2024-01-01", 60, strength=0.4))
    path = tmp_path / "deliveries.yaml"
    path.write_text(yaml.safe_dump(SPEC | {"release": {"strategy": "canary"}}))

    def turn(until: datetime) -> Any:
        return result_of(training(str(path), until, return_state=True))

    assert turn(MARCH)["state"] == "Promoted"  # the first champion has nothing to be tried against
    write_month(tmp_path, "spring", deliveries("2024-03-01", 61, seed=1))
    second = turn(MAY)

    assert second["state"] == "OnTrial"
    assert second["reasons"][0] == "Version 2 is tried on 5 % of the keys (canary) against version 1"
    here = Context(load_spec(str(path)), Settings())
    aliases = ("champion", "challenger")
    champion, challenger = (getattr(model_registry, name)(here.mlflow, "deliveries") for name in aliases)
    assert (champion.version, challenger.version) == (1, 2)
    arms = read_split(here.mlflow, challenger)
    assert arms is not None
    assert (arms.share, arms.champion) == (0.05, 1)

    state: Any = trial(str(path), datetime(2024, 5, 3, tzinfo=UTC), return_state=True)
    assert state.name == "OnTrial"
    assert "has 0 predictions in this step" in state.message

    def command(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["trial", str(path), *arguments])

    assert command("--stop", "--by", "ann").exit_code != 0  # without a reason
    shown = command("--until", "2024-05-04")
    assert "step 1 of 3, 5 % of the keys" in shown.stdout
    content = json.loads(command("--stop", "--by", "ann", "--reason", "holidays", "--json").stdout)
    assert (content["state"], content["reasons"]) == ("Returned", ["Returned by ann: holidays"])
    again = command("--stop", "--by", "ann", "--reason", "holidays", "--json")  # as after an interruption
    assert (again.exit_code, json.loads(again.stdout)) == (0, content)
    assert command("--stop", "--by", "bob", "--reason", "holidays").exit_code != 0
    assert command().stdout.startswith("deliveries: no traffic trial is running; `everfit history` shows")
    assert model_registry.challenger(here.mlflow, "deliveries") is None
    kinds = [(one.kind, one.verdict) for one in here.ledger.story(second["turn_id"]).decisions]
    assert kinds == [("gate", "promote"), *[("trial", verdict) for verdict in ("start", "wait", "wait", "return")]]
    content = CliRunner().invoke(app, ["explain", second["turn_id"]])
    assert content.exit_code == 0
    assert "Returned by ann: holidays" in content.stdout
    assert turn(MAY)["state"] == "Returned"  # the same trigger gives the same turn
