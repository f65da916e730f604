"""A story of a champion whose answers are all too low by as much: it is shifted, without a search for another model."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from support.deliveries import SPEC, deliveries, write_month

from everfit.blocks.settings import Settings
from everfit.deployments.cli.runs import result_of
from everfit.flows.rollback_flow import rollback
from everfit.flows.scoring_flow import scoring
from everfit.flows.training_flow import training
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.registry import model_files, model_registry
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.reproduction import reproduce

pytestmark = pytest.mark.usefixtures("prefect_server", "tried_here")

MARCH = datetime(2024, 3, 1, tzinfo=UTC)
LATER = MARCH + timedelta(days=28)
MENDING = {
    "training": SPEC["training"] | {"metric": "log_loss"},
    "retraining": {"remedies": True},
    "gate": {
        "serving": {"p99_ms": 5000},  # the corrected model answers in the service's own code
        "replay": {"days": 28, "max_changed": 0.9},
        "forgetting": {"max_loss": 0.3, "share": 0.2, "min_rows": 50},
    },
}


def run(flow: Any, *arguments: Any) -> dict[str, Any]:
    return result_of(flow(*arguments, return_state=True))


def test_the_smallest_remedy_is_released_without_a_search_and_rolled_back_like_any(model: str) -> None:
    Path(model).write_text(yaml.safe_dump(SPEC | MENDING))
    assert run(training, model, MARCH)["state"] == "Promoted"
    random = np.random.default_rng(7)
    frame = deliveries("2024-03-01", 28, seed=7)
    risk = 3 * (frame["distance"] / 5 - 1) + (frame["region"] == "north") + 1.5  # all are late more often
    late = pd.Series(random.uniform(size=len(frame)) < 1 / (1 + np.exp(-risk)))
    write_month(Path(model).parent, "march", frame.assign(late=late))

    run(scoring, model, MARCH, LATER)

    turn = run(training, model, LATER)

    assert turn["state"] == "Promoted", turn["reasons"]
    assert turn["candidates"] == []  # none was tried
    assert "smallest remedy of champion 1 that is enough is a constant shift (intercept)" in turn["reasons"][-1]
    here = Context(load_spec(model), Settings())
    version = model_registry.champion(here.mlflow, "deliveries")
    assert version is not None
    assert version.version == 2
    assert version.trained_until == LATER - timedelta(days=1)
    logged = here.mlflow.get_run(version.run_id).data
    assert logged.params["remedy"] == "intercept"
    assert logged.metrics["remedy.intercept"] < logged.metrics["remedy.no change"]
    record = here.ledger.turns.get(turn["turn_id"]).record
    assert record["evidence"]["overlap_rows"] == 0
    assert record["refitted"]["remedied"]["correction"]["shifts"] == [pytest.approx(1.5, abs=0.4)]
    checks = {check["name"]: check for check in record["decision"]["checks"]}
    assert "1,120 rows of the prediction log" in checks["replay"]["reason"]
    assert "stretches of the past" in checks["forgetting"]["reason"]
    # It ranks as its base does, and answers higher.
    old, new = (
        model_files.load(here.mlflow, here.ledger, model_registry.model_version(here.mlflow, "deliveries", number))
        for number in (1, 2)
    )
    rows = frame[list(old.feature_names_in_)].head(100)
    before, after = old.predict_proba(rows)[:, 1], new.predict_proba(rows)[:, 1]
    assert np.argsort(before).tolist() == np.argsort(after).tolist()
    assert (after > before).all()
    assert reproduce(here.workspace, "deliveries", turn["turn_id"]).identical

    run(rollback, model, "the shift was an error of the feed")

    champion = model_registry.champion(here.mlflow, "deliveries")
    assert champion is not None
    assert champion.version == 1


def test_when_an_old_world_comes_back_the_former_champion_does_too(released: str) -> None:
    """January's world, then one in which the distance tells the opposite, then January's again."""
    changes = {
        "training": SPEC["training"] | {"metric": "log_loss", "window": "30d"},
        "retraining": {"remedies": ["former_champion"]},
    }
    Path(released).write_text(yaml.safe_dump(SPEC | changes))
    write_month(Path(released).parent, "march", deliveries("2024-03-01", 31, seed=7, strength=-3.0))
    opposite = run(training, released, MARCH + timedelta(days=32))
    assert opposite["state"] == "Promoted", opposite["reasons"]
    assert opposite["candidates"]  # no former champion knows it, so candidates were tried
    write_month(Path(released).parent, "april", deliveries("2024-04-01", 30, seed=8))

    again = run(training, released, MARCH + timedelta(days=62))

    assert again["state"] == "Promoted", again["reasons"]
    assert again["candidates"] == []
    assert "smallest remedy of champion 2 that is enough is former champion 1" in again["reasons"][-1]
    here = Context(load_spec(released), Settings())
    assert model_registry.champion(here.mlflow, "deliveries").version == 3
    first, third = (
        model_files.load(here.mlflow, here.ledger, model_registry.model_version(here.mlflow, "deliveries", number))
        for number in (1, 3)
    )
    rows = deliveries("2024-05-01", 2)[list(first.feature_names_in_)]
    assert (first.predict_proba(rows) == third.predict_proba(rows)).all()
    logged = here.mlflow.get_run(model_registry.champion(here.mlflow, "deliveries").run_id).data.params
    assert logged["remedy"] == "former champion 1"
    assert reproduce(here.workspace, "deliveries", again["turn_id"]).identical
