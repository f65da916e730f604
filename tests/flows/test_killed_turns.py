"""A turn that is killed anywhere and run again ends as one that was left alone."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL
from support.killing import train_in_a_process

from everfit.blocks.settings import Settings
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.registry import model_registry
from everfit.tasks.turns.context import Context

pytestmark = pytest.mark.usefixtures("prefect_server")

UNTIL = datetime(2024, 3, 1, tzinfo=UTC)

# In the order of the turn, so that each run gets a little farther than the one before.
POINTS = [
    "everfit.tasks.ledger.turns:Turns.begin",
    "everfit.tasks.data.ingest:ingest",
    "everfit.tasks.ledger.turns:Turns.keep",
    "everfit.tasks.data.validate:validate",
    "everfit.tasks.storage.tables:Table.append",
    "everfit.tasks.data.commit:commit_batch",
    "everfit.tasks.data.commit:take_snapshot",
    "everfit.tasks.training.train:try_candidate",
    "everfit.tasks.training.train:fit_on",
    "everfit.tasks.evaluation.evaluate:evaluate",
    "everfit.tasks.gate:decide",
    "everfit.tasks.registry.tracking:turn_run",
    "everfit.tasks.registry.registration:_log_model",
    "mlflow:MlflowClient.create_model_version",
    "everfit.tasks.ledger.decisions:Decisions.record",
    "everfit.tasks.registry.tracking:log_turn",
    "everfit.tasks.ledger.releases:Releases.intend",
    "everfit.tasks.registry.model_registry:set_alias",
    "everfit.tasks.release.release:release",
    "everfit.tasks.ledger.turns:Turns.finish",
]
SHORT = [
    "everfit.tasks.storage.tables:Table.append",
    "everfit.tasks.data.commit:take_snapshot",
    "mlflow:MlflowClient.create_model_version",
    "everfit.tasks.ledger.releases:Releases.intend",
    "everfit.tasks.registry.model_registry:set_alias",
    "everfit.tasks.ledger.turns:Turns.finish",
]
"""Where a turn has changed something that the next attempt must find. Each run tries these, the nightly one all."""


def environment(mlflow_uri: str) -> dict[str, str]:
    return {
        "EVERFIT_WORKSPACE": os.environ["EVERFIT_WORKSPACE"],
        "MLFLOW_TRACKING_URI": mlflow_uri,
        "PREFECT_API_URL": PREFECT_API_URL.value(),
    }


def left_behind(model: str) -> dict[str, Any]:
    """All that a turn leaves in registry, ledger and tables, without what names the run or the moment."""
    here = Context(load_spec(model), Settings())
    client, ledger, name = here.mlflow, here.ledger, here.spec.name
    champion = model_registry.champion(client, name)
    dataset = here.workspace.table(name, "dataset").read()
    return {
        "versions": model_registry.versions(client, name),
        "champion": champion and champion.model_dump(exclude={"run_id"}),
        "challenger": model_registry.challenger(client, name),
        "runs": len(client.search_runs([client.get_experiment_by_name(name).experiment_id])),
        "turns": [(turn.id, turn.state, turn.verdict, turn.reasons) for turn in ledger.turns.of(name)],
        "decisions": [(decision.id, decision.verdict, decision.record) for decision in ledger.decisions.of(name)],
        "releases": [
            (entry.seq, entry.version, entry.state, entry.reason, entry.turn_id) for entry in ledger.releases.of(name)
        ],
        "rows": len(dataset),
        "keys": sorted(dataset["_key"]),
    }


@pytest.fixture
def undisturbed(model: str, mlflow_uri: str, workspace: Path) -> dict[str, Any]:
    """What a turn leaves that nobody kills; its workspace is set aside, so that the next begins with nothing."""
    fresh = (workspace / "mlflow.db").read_bytes()
    assert train_in_a_process(model, UNTIL, environment(mlflow_uri), str(workspace.parent), "") == 0
    left = left_behind(model)
    workspace.rename(workspace.with_name("undisturbed"))
    workspace.mkdir()
    (workspace / "mlflow.db").write_bytes(fresh)
    return left


@pytest.mark.parametrize(
    "points", [pytest.param(SHORT, id="short"), pytest.param(POINTS, id="every step", marks=pytest.mark.long)]
)
def test_a_turn_that_is_killed_again_and_again_ends_as_one_that_was_left_alone(
    points: list[str], undisturbed: dict[str, Any], model: str, mlflow_uri: str, workspace: Path
):
    for point in points:
        code = train_in_a_process(model, UNTIL, environment(mlflow_uri), str(workspace.parent), point)
        assert code == -9, f"the turn did not come by {point}"

    assert train_in_a_process(model, UNTIL, environment(mlflow_uri), str(workspace.parent), "") == 0

    assert left_behind(model) == undisturbed
