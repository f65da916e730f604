"""What is registered is tried by the prediction service's own code before it is released."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from support.deliveries import SPEC

from everfit.blocks.settings import Settings
from everfit.deployments.cli.runs import result_of
from everfit.flows.training_flow import training
from everfit.tasks.core.records import Window
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.data.split import TrainingData
from everfit.tasks.evaluation.serving_check import measure_serving
from everfit.tasks.gate import Evidence
from everfit.tasks.training import train
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.turn_record import TurnRecord

pytestmark = pytest.mark.usefixtures("prefect_server")

MARCH = datetime(2024, 3, 1, tzinfo=UTC)


def test_a_model_that_cannot_be_served_as_it_was_trained_is_not_released(model: str, request: pytest.FixtureRequest):
    # No model answers in a nanosecond.
    Path(model).write_text(
        yaml.safe_dump(SPEC | {"gate": {"serving": {"p99_ms": 1e-6, "size_mb": 100, "requests_per_second": 1}}})
    )

    turn = result_of(training(model, MARCH, return_state=True))

    assert turn["state"] == "ChampionKept"
    assert turn["reasons"][0].startswith(
        "Released nothing, so there is no champion yet: p99_ms in the prediction service"
    )
    here = Context(load_spec(model), Settings())
    settled = here.ledger.turns.get(turn["turn_id"])
    record = TurnRecord.model_validate(settled.record)
    decision = here.ledger.decisions.find(f"{settled.id}/gate")
    assert decision is not None
    assert Evidence.model_validate(decision.record["evidence"]) == record.evidence
    assert record.evidence is not None
    served = record.evidence.serving
    assert served is not None
    assert (served.loaded, served.same_predictions, served.problem) == (True, True, "")
    assert served.p99_ms is not None
    assert served.size_mb is not None
    assert served.memory_mb is not None
    assert 0 < served.p99_ms < 1000
    assert 0 < served.size_mb < 1
    assert 50 < served.memory_mb < 5000
    assert served.capacity_problem == ""
    assert served.requests_per_second is not None
    assert served.requests_p99_ms is not None
    assert 50 < served.requests_per_second < 50_000
    assert served.champion_requests_per_second is None  # there is none yet
    assert "requests a second on one core (p99 " in served.capacity

    # Had another model been trained than was registered, it would be told: by the same program, here in this process.
    request.getfixturevalue("tried_here")  # its service is another process all the same
    assert record.snapshot is not None
    assert record.split is not None
    data = TrainingData(here.spec, record.snapshot, record.split, settled.window.until, here.workspace)
    version, fitted = record.version, record.refitted
    assert version is not None
    assert fitted is not None
    earlier = Window(since=data.split.training.since, until=datetime(2024, 1, 20, tzinfo=UTC))
    other = train.fit_on(data, fitted.candidate, earlier, str(fitted.path) + ".other")
    # The champion is asked in turns; here it is the same version.
    twice = measure_serving(data, version, other, champion=version)
    assert "predictions differ, by up to" in twice.problem
    assert twice.champion_requests_per_second is not None
    assert twice.requests_per_second is not None
    assert 0.5 < twice.requests_per_second / twice.champion_requests_per_second < 2
    # And so would a version that isn't there.
    gone = measure_serving(data, version.model_copy(update={"version": 9}), fitted)
    assert (gone.loaded, gone.same_predictions) == (False, False)
    assert "Model Version" in gone.problem
