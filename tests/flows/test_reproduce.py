"""A turn leaves its evidence, and all that is needed to make its model again to the same result."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from support.deliveries import SPEC, deliveries, write_month
from support.prefect_server import with_task_runs
from support.processes import everfit

from everfit.blocks.errors import ArtifactError, WorkspaceError
from everfit.blocks.settings import Settings
from everfit.deployments.cli.runs import result_of
from everfit.flows.training_flow import training
from everfit.tasks.core.records import Trigger
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.evaluation.report import Report
from everfit.tasks.ledger import Ledger
from everfit.tasks.monitoring.reference import load_reference
from everfit.tasks.registry import model_registry
from everfit.tasks.retention.key_deletion import delete_key
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.package import export_package, import_package, read_package
from everfit.tasks.turns.reproduction import reproduce

pytestmark = pytest.mark.usefixtures("prefect_server")

MARCH = datetime(2024, 3, 1, tzinfo=UTC)


@pytest.fixture
def turn(workspace: Path, mlflow_uri: str) -> dict[str, Any]:
    """A turn with a search over two spans of history, and everything asked for."""
    write_month(workspace.parent, "winter", deliveries("2024-01-01", 60))
    spec = {
        **SPEC,
        "columns": {**SPEC["columns"], "protected": ["region"]},
        "training": {
            "holdout": "14d",
            "candidates": ["logistic_regression"],
            "window": "best",
            "windows": ["all", "30d"],
            "search": {"trials": 3},
            "business_value": {"true_positive": 5, "false_positive": -2, "unit": "EUR"},
        },
        "gate": {"slices": {"min_rows": 50}, "robustness": {"max_flip_share": 0.9}},
    }
    path = workspace.parent / "deliveries.yaml"
    path.write_text(yaml.safe_dump(spec))
    with with_task_runs():
        return result_of(training(str(path), MARCH, Trigger(), return_state=True))


def test_a_turn_can_be_made_again_to_the_same_result(turn: dict[str, Any], mlflow_uri: str, tmp_path: Path) -> None:
    workspace, client = Workspace.of(Settings()), MlflowClient(mlflow_uri)
    assert turn["state"] == "Promoted"

    # In Prefect each try is a task run.
    with get_client(sync_client=True) as prefect:
        ran = {run.name for run in prefect.read_task_runs()}
    assert ran >= {f"try-logistic_regression-{number}" for number in (1, 2, 3)}

    # The run carries its evidence, and each try below it.
    run_id = turn["mlflow_run_id"]
    files = {item.path for item in client.list_artifacts(run_id, "evidence")}
    assert {"evidence/evidence.json", "evidence/roc.png", "evidence/calibration.png", "evidence/report.html"} <= files
    kept = Path(client.download_artifacts(run_id, "evidence/evidence.json", str(tmp_path)))
    report = Report.model_validate_json(kept.read_bytes())
    assert report.left_out == {}
    assert report.metrics[0].lower < turn["challenger"]["metrics"]["roc_auc"] < report.metrics[0].upper
    assert next(iter(report.attribution)) == "distance"
    assert {group.column for group in report.groups} == {"region"}
    experiment = client.get_run(run_id).info.experiment_id
    tries = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'")
    assert len(tries) == 3
    assert {run.data.params["span"] for run in tries} == {"all", "30d"}
    version = client.get_model_version_by_alias("deliveries", "champion")
    assert "## How good" in version.description
    assert "everfit.threshold" in version.tags

    # The reference is what monitoring compares with.
    champion = model_registry.model_version(client, "deliveries", int(version.version))
    reference = load_reference(client, Ledger.open(Settings()), champion)
    assert {"distance", "region", "late", "_score", "_prediction"} <= set(reference.sample.columns)
    assert {column.name: column.role for column in reference.profile.columns} == {
        "distance": "feature", "_prediction": "prediction", "_score": "prediction",
    }  # fmt: skip

    # Made again in this process and in another, it is identical.
    again = reproduce(workspace, "deliveries", turn["turn_id"])
    assert again.differences == ()
    assert again.identical
    ((code, printed, errors),) = everfit(["reproduce", turn["turn_id"], "--json"])
    assert code == 0, errors
    result = json.loads(printed)
    assert [result[name] for name in ("data", "parameters", "metrics", "predictions")] == ["identical"] * 4

    # Exported and imported it is the same package, and what was changed in it shows.
    names = export_package(workspace, "deliveries", turn["turn_id"], tmp_path / "out")
    assert {"challenger.skops", "refitted.skops", "spec.json", "turn.json"} <= set(names)
    elsewhere = Workspace(str(tmp_path / "elsewhere"))
    assert import_package(elsewhere, tmp_path / "out") == ("deliveries", turn["turn_id"])
    assert read_package(elsewhere, "deliveries", turn["turn_id"]) == read_package(
        workspace, "deliveries", turn["turn_id"]
    )
    model = tmp_path / "out" / "refitted.skops"
    content = model.read_bytes()
    model.write_bytes(content + b" ")
    with pytest.raises(ArtifactError, match=r"not those that were exported: 'refitted\.skops' has SHA-256"):
        import_package(Workspace(str(tmp_path / "third")), tmp_path / "out")
    model.write_bytes(content)
    path = Path(workspace.turn_file("deliveries", turn["turn_id"], "spec.json"))
    spec = json.loads(path.read_text())
    spec["training"]["parameters"] = {"logistic_regression": {"C": 0.001}}
    path.write_text(json.dumps(spec))
    changed = reproduce(workspace, "deliveries", turn["turn_id"])
    assert changed.data == "identical"
    assert changed.metrics == changed.predictions == "different"
    with pytest.raises(WorkspaceError, match="with another spec"):
        import_package(workspace, tmp_path / "out")
    with pytest.raises(WorkspaceError, match="left no spec"):
        reproduce(workspace, "deliveries", "deliveries-20240101T000000-00000000")

    # Rows that it trained on are removed on request: that is said, and who asked, and when.
    delete_key(Context(load_spec("deliveries.yaml"), Settings()), ["2024-01-01-7"], datetime.now(UTC), "ann")
    ((code, out, err),) = everfit(["reproduce", turn["turn_id"]])
    assert (code, out) == (2, "")
    assert "can't be reproduced any more: rows that it trained on are gone by `everfit forget` of" in err
    assert "ann had the rows of a key deleted" in err
