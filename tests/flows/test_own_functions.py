"""The examples of an own metric and an own gate check, in turns of their own: decided on, kept, logged and shown."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.deliveries import SPEC, deliveries, write_month

from everfit.blocks.settings import Settings
from everfit.deployments.cli.runs import result_of
from everfit.flows.training_flow import training
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.registry.own_code import OWN_CODE_TAG, own_code
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.package import read_package
from everfit.tasks.turns.turn_record import TurnRecord, turn_page

pytestmark = pytest.mark.usefixtures("prefect_server")

MARCH, APRIL = (datetime(2024, month, 1, tzinfo=UTC) for month in (3, 4))
METRIC, CHECK = "own_metric:profit", "own_gate_check:no_region_loses"


@pytest.fixture(autouse=True)
def examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")


def turn_of(model: str, until: datetime, **gate: Any) -> tuple[dict[str, Any], TurnRecord, Context]:
    training_of = {**SPEC["training"], "metric": METRIC}  # type: ignore[dict-item]
    slices = {"columns": ["region"], "max_loss": 1, "min_rows": 50}
    content = SPEC | {"training": training_of, "gate": {"slices": slices, "checks": [CHECK], "draws": 200} | gate}
    Path(model).write_text(yaml.safe_dump(content))
    turn = result_of(training(model, until, return_state=True))
    here = Context(load_spec(model), Settings())
    return turn, TurnRecord.model_validate(here.ledger.turns.get(turn["turn_id"]).record), here


def test_an_own_metric_and_check_decide_and_are_shown_under_their_names(model: str):
    first, record, here = turn_of(model, MARCH)
    assert first["state"] == "Promoted", first["reasons"]
    assert f"{METRIC} " in first["reasons"][0]
    assert record.candidates[0].metric == METRIC
    assert record.evidence is not None
    assert record.evidence.own_checks[0].reason == "there is no champion yet"

    write_month(Path(model).parent, "march", deliveries("2024-03-01", 31, seed=5))
    second, record, here = turn_of(model, APRIL)
    assert record.evidence is not None
    assert record.decision is not None
    assert record.evidence.comparison is not None
    assert record.evidence.comparison.metric == METRIC
    (check,) = (check for check in record.decision.checks if check.name == CHECK)
    assert check.passed
    assert "loses most to the champion" in check.reason

    turn = here.ledger.turns.get(second["turn_id"])
    assert f"| {CHECK} |" in turn_page(turn)
    assert METRIC in turn_page(turn)
    assert METRIC in second["challenger"]["metrics"]
    decision = here.ledger.decisions.find(f"{turn.id}/gate")
    assert decision is not None
    assert CHECK in [check["name"] for check in decision.record["evidence"]["own_checks"]]
    version = first["challenger"]["version"]
    run = here.mlflow.get_run(here.mlflow.get_model_version("deliveries", str(version)).run_id).data
    assert {"own_metric", "own_gate_check"} <= json.loads(run.tags[OWN_CODE_TAG]).keys()
    environment = read_package(here.workspace, "deliveries", turn.id).environment
    assert environment["own_code"] == own_code(here.spec)  # nobody has changed it since
    logged = run.metrics
    assert logged[f"challenger.{METRIC}"] == pytest.approx(first["challenger"]["metrics"][METRIC])
    assert logged[f"check.{CHECK}"] == 1


def test_a_check_that_raises_keeps_the_champion(model: str):
    turn, record, _ = turn_of(model, MARCH, checks=["own_gate_check:missing"])
    assert turn["state"] == "ChampionKept"
    assert "check 'own_gate_check:missing' can't be imported" in turn["reasons"][0]
    assert record.decision is not None
    assert [check.name for check in record.decision.failed] == ["own_gate_check:missing"]
