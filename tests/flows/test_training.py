"""Stories of the training flow, on a real Prefect server, MLflow, ledger and Delta tables."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort
from support.deliveries import SPEC, deliveries, write_month
from support.events import emitted

from everfit.blocks.errors import DataError, EverfitError, SourceError
from everfit.blocks.settings import Settings
from everfit.deployments.cli.runs import result_of
from everfit.flows.training_flow import training
from everfit.tasks.core.event_names import DATA_REJECTED, RELEASE_PROMOTED, TURN_FINISHED
from everfit.tasks.core.records import Trigger
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.registry import model_registry, tracking
from everfit.tasks.turns.context import Context

pytestmark = pytest.mark.usefixtures("prefect_server")

MARCH = datetime(2024, 3, 1, tzinfo=UTC)


def run(model: str, until: datetime = MARCH, reason: str = "") -> dict[str, Any]:
    return result_of(training(model, until, Trigger(reason=reason), return_state=True))


def context(model: str) -> Context:
    return Context(load_spec(model), Settings())


def test_the_first_turn_releases_a_champion_that_loads_without_everfit(model: str, mlflow_uri: str, tmp_path: Path):
    turn = run(model, reason="the first turn")

    assert turn["state"] == "Promoted"
    assert turn["challenger"]["version"] == 1
    assert turn["champion"] is None
    assert turn["challenger"]["metrics"]["roc_auc"] > 0.8
    [brief] = context(model).ledger.turns.brief("deliveries")
    assert 0 < brief.record["processor_seconds"] < 600
    plain = tmp_path / "plain.py"
    plain.write_text(
        "import sys, mlflow, pandas as pd\n"
        "mlflow.set_tracking_uri(sys.argv[1])\n"
        "model = mlflow.sklearn.load_model('models:/deliveries@champion')\n"
        "rows = pd.DataFrame({'distance': [0.1, 9.9], 'region': ['south', 'unheard of']})\n"
        "low, high = model.predict_proba(rows)[:, 1]\n"
        "assert low < 0.2 < 0.8 < high, (low, high)\n"
        "assert not any(name.startswith('everfit') for name in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, str(plain), mlflow_uri], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_released_was_fitted_on_the_hold_out_too_and_says_so(released: str, first_turn: dict[str, Any]):
    here = context(released)
    champion = model_registry.champion(here.mlflow, "deliveries")
    assert champion is not None
    assert champion.trained_until == MARCH - timedelta(days=1)  # the maturity, and no hold-out left out
    assert champion.snapshot_digest == first_turn["snapshot"]["digest"]
    (release,) = here.ledger.releases.of("deliveries")
    assert (release.version, release.state, release.turn_id) == (1, "verified", first_turn["turn_id"])


def test_the_same_trigger_gives_one_turn(released: str, first_turn: dict[str, Any]):
    assert run(released) == first_turn
    here = context(released)
    assert len(here.ledger.turns.of("deliveries")) == 1
    assert model_registry.versions(here.mlflow, "deliveries") == [1]


def test_another_trigger_over_the_same_rows_finds_nothing_new(released: str):
    assert run(released, reason="somebody was curious")["state"] == "NothingNew"
    assert model_registry.versions(context(released).mlflow, "deliveries") == [1]


def test_right_after_a_release_nothing_is_trained_that_could_not_be_compared(released: str):
    """Given rows without labels since the release, and another spec, when a turn runs, then it ends before it fits."""
    Path(released).write_text(yaml.safe_dump(SPEC | {"gate": {"confidence": 0.9}}))
    write_month(Path(released).parent, "spring", deliveries("2024-03-01", 1, seed=1))

    turn = run(released, MARCH + timedelta(seconds=5))

    assert (turn["state"], turn["candidates"]) == ("NothingNew", [])
    assert "no later row has a label yet; train again when" in turn["reasons"][0]
    assert model_registry.versions(context(released).mlflow, "deliveries") == [1]


def test_a_challenger_that_learned_nothing_better_does_not_replace_the_champion(released: str):
    write_month(Path(released).parent, "spring", deliveries("2024-03-01", 30, seed=1))

    turn = run(released, datetime(2024, 4, 1, tzinfo=UTC))

    assert turn["state"] == "ChampionKept"
    assert turn["reasons"][0].startswith("Kept champion 1")
    here = context(released)
    aliases = ("champion", "challenger")
    champion, challenger = (getattr(model_registry, alias)(here.mlflow, "deliveries") for alias in aliases)
    assert (champion.version, challenger.version) == (1, 2)
    # Both were judged on rows that neither had seen.
    evidence = here.ledger.decisions.find(f"{turn['turn_id']}/gate").record["evidence"]
    assert datetime.fromisoformat(evidence["holdout"]["since"]) >= champion.trained_until
    assert evidence["overlap_rows"] == 0


def test_a_world_that_changed_gives_a_new_champion(released: str):
    # Only recent rows are trained on: the old ones say the opposite, and there are more of them.
    Path(released).write_text(yaml.safe_dump(SPEC | {"training": SPEC["training"] | {"window": "50d"}}))
    write_month(Path(released).parent, "spring", deliveries("2024-03-01", 60, seed=1, strength=-3.0))

    turn = run(released, datetime(2024, 5, 1, tzinfo=UTC))

    assert turn["state"] == "Promoted"
    assert turn["champion"]["metrics"]["roc_auc"] < 0.3 < turn["challenger"]["metrics"]["roc_auc"]


def test_bad_rows_lie_in_quarantine_and_are_not_trained_on(released: str):
    spring = deliveries("2024-03-01", 30, seed=1)
    spring.loc[:9, "id"] = None
    write_month(Path(released).parent, "spring", spring)

    run(released, datetime(2024, 4, 1, tzinfo=UTC))

    here = context(released)
    quarantined = here.workspace.table("deliveries", "quarantine").read()
    assert len(quarantined) == 10
    assert quarantined["_reasons"].str.contains("expect_column_values_to_not_be_null").all()
    dataset = here.workspace.table("deliveries", "dataset").read()
    assert len(dataset) == 40 * 90 - 10
    assert dataset["id"].notna().all()


def test_a_bad_batch_is_rejected_whole_and_changes_nothing_else(model: str, workspace: Path):
    started = datetime.now(UTC)
    run(model)
    spring = deliveries("2024-03-01", 30, seed=1)
    spring["distance"] = -1e6
    write_month(workspace.parent, "spring", spring)

    turn = run(model, datetime(2024, 4, 1, tzinfo=UTC))

    assert turn["state"] == "DataRejected"
    assert "distance" in turn["reasons"][0]
    here = context(model)
    assert len(here.workspace.table("deliveries", "dataset").read()) == 40 * 60
    assert len(here.workspace.table("deliveries", "quarantine").read()) == 40 * 30
    assert model_registry.versions(here.mlflow, "deliveries") == [1]
    # Who listens to the model has heard of both turns.
    events = emitted("deliveries", started, TURN_FINISHED, RELEASE_PROMOTED, DATA_REJECTED)
    assert (events[TURN_FINISHED]["turn_id"], events[TURN_FINISHED]["state"]) == (turn["turn_id"], "DataRejected")
    assert events[DATA_REJECTED]["reasons"] == turn["reasons"]
    assert (events[RELEASE_PROMOTED]["release"]["version"], events[RELEASE_PROMOTED]["release"]["seq"]) == (1, 1)
    # What was expected and found is to be seen in MLflow and in Prefect.
    run_id = tracking.turn_run(here.mlflow, here.settings, "deliveries", turn["turn_id"])
    assert here.mlflow.get_run(run_id).info.status == "FINISHED"
    page = Path(here.mlflow.download_artifacts(run_id, "validation.html", str(workspace))).read_text()
    assert "Great Expectations" in page
    assert "default-src 'none'" in page
    assert "Failed" in page
    named = ArtifactFilter(key=ArtifactFilterKey(any_=["deliveries-validation"]))
    with get_client(sync_client=True) as prefect:  # Artifact.get leaves its connection open
        artifact = prefect.read_artifacts(artifact_filter=named, sort=ArtifactSort.CREATED_DESC)[0]
    assert artifact.description is not None
    assert artifact.description.startswith("refused")
    assert "distance" in json.loads(str(artifact.data))[0]["expectation"]


def test_a_label_counts_only_once_it_is_known_and_mature(model: str, workspace: Path):
    # All labels of the last three weeks become known only in April.
    frame = deliveries("2024-01-01", 60)
    late = frame["sent_at"] >= pd.Timestamp("2024-02-09", tz="UTC")
    frame.loc[late, "known_at"] = pd.Timestamp("2024-04-01", tz="UTC")
    write_month(workspace.parent, "winter", frame)

    with pytest.raises(DataError, match="no row with a label to compare on"):
        run(model)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"columns": SPEC["columns"] | {"target": "delayed"}}, SourceError, "has no column 'delayed'"),
        ({"source": {"kind": "files", "path": "nowhere/*.csv"}}, SourceError, "matches no file"),
        ({"training": {"holdouts": "14d"}}, EverfitError, "training.holdouts: there is no such key; did you mean"),
        ({"training": {"holdout": "30d", "window": "20d"}}, EverfitError, "make it shorter than the window"),
        ({"training": {"candidates": ["ridge"]}}, EverfitError, "'ridge' can't be used for a binary model"),
        ({"columns": SPEC["columns"] | {"features": ["late"]}}, EverfitError, "'late' is the target"),
        ({"maturity": "soon"}, EverfitError, "maturity: 'soon' is not a duration"),
    ],
)
def test_a_mistake_is_one_clear_error_and_changes_nothing(model: str, workspace: Path, change, error, words):
    Path(model).write_text(yaml.safe_dump(SPEC | change))

    with pytest.raises(error) as caught:
        run(model)

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (workspace / "deliveries" / "dataset").exists()


@pytest.mark.parametrize(
    ("until", "words"),
    [
        (datetime(2023, 1, 1, tzinfo=UTC), "has no row before 2023-01-01"),
        (datetime.now(UTC) + timedelta(days=2), "is in the future"),
    ],
)
def test_a_moment_without_data_is_an_error(model: str, workspace: Path, until: datetime, words: str):
    with pytest.raises(DataError, match=words):
        run(model, until)

    assert not (workspace / "deliveries" / "dataset").exists()
    assert model_registry.champion(context(model).mlflow, "deliveries") is None


def test_a_regression_and_a_multiclass_model_go_through_the_same_loop(model: str, workspace: Path):
    frame = deliveries("2024-01-01", 60)
    frame["hours"] = frame["distance"] * 2 + (frame["region"] == "north")
    frame["size"] = pd.cut(frame["distance"], [-1, 3, 6, 11], labels=["small", "medium", "large"]).astype(str)
    write_month(workspace.parent, "winter", frame.drop(columns="late"))
    for task, target in (("regression", "hours"), ("multiclass", "size")):
        columns = SPEC["columns"] | {"target": target, "ignore": ["hours", "size"]}
        columns["ignore"] = [name for name in columns["ignore"] if name != target]
        # The default candidates, of which boosting has fewer trees than by default.
        quick = {"hist_gradient_boosting": {"max_iter": 15}}
        spec = SPEC | {
            "name": f"deliveries-{task}",
            "task": task,
            "columns": columns,
            "training": {"parameters": quick},
        }
        spec["gate"] = {"leaks": False}  # distance all but tells the answer here
        Path(model).write_text(yaml.safe_dump(spec))

        assert run(model)["state"] == "Promoted"
