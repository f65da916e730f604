"""A champion that is released as ONNX: converted, tried as it would be served, and served."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.deliveries import SPEC

from everfit.blocks.settings import Settings
from everfit.deployments.cli.runs import result_of
from everfit.flows.training_flow import training
from everfit.infra.serving.model_cache import ModelCache
from everfit.infra.serving.servable import load_servable
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.models.onnx_model import OnnxClassifier
from everfit.tasks.registry import model_files, model_registry
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.turn_record import TurnRecord

pytest.importorskip("skl2onnx")
pytestmark = pytest.mark.usefixtures("prefect_server", "tried_here")

MARCH = datetime(2024, 3, 1, tzinfo=UTC)
GATE = {"serving": {"p99_ms": 1000}, "conversion": True}


def run(model: str, candidate: str) -> tuple[dict[str, Any], Context]:
    training_of = {**SPEC["training"], "candidates": [candidate]}  # type: ignore[dict-item]
    Path(model).write_text(
        yaml.safe_dump(SPEC | {"gate": GATE, "release": {"format": "onnx"}, "training": training_of})
    )
    return result_of(training(model, MARCH, return_state=True)), Context(load_spec(model), Settings())


def test_a_champion_is_served_as_onnx_and_kept_as_it_was_fitted_too(model: str, tmp_path: Path):
    turn, here = run(model, "logistic_regression")

    assert turn["state"] == "Promoted", turn["reasons"]
    champion = model_registry.champion(here.mlflow, "deliveries")
    assert champion is not None
    assert here.mlflow.get_model_version("deliveries", "1").tags["everfit.format"] == "onnx"
    record = TurnRecord.model_validate(here.ledger.turns.get(turn["turn_id"]).record)
    assert record.decision is not None
    reasons = {check.name: check.reason for check in record.decision.checks}
    assert reasons["serving"].startswith(
        "the prediction service loads the model and answers as in training; it answers "
    )
    assert "predictions differ by at most" in reasons["conversion"]

    # The prediction service answers by ONNX, and its answers are those of the pipeline that was fitted.
    scorer = load_servable(ModelCache(tmp_path).fetch(here.mlflow, champion), champion).scorer
    assert isinstance(scorer.estimator, OnnxClassifier)
    served = scorer.score_columns({"distance": [1.5, 9.5], "region": ["north", "moon"]})
    fitted = model_files.load(here.mlflow, here.ledger, champion)
    rows = scorer.inputs.frame({"distance": [1.5, 9.5], "region": ["north", "moon"]})
    assert served.score is not None
    assert served.score.tolist() == pytest.approx(fitted.predict_proba(rows)[:, 1].tolist(), abs=1e-5)


@pytest.mark.long
def test_a_gate_that_asks_for_onnx_keeps_what_can_not_be_converted(model: str):
    turn, here = run(model, "hist_gradient_boosting")

    assert turn["state"] == "ChampionKept"
    assert "splits on categories" in turn["reasons"][0]
    tags = here.mlflow.get_model_version("deliveries", "1").tags
    assert tags["everfit.format"] == "skops"
    assert "splits on categories" in tags["everfit.format_reason"]
