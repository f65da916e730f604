"""A model that was backed up is restored where nothing of it is left, and its loop goes on."""

import json
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from support.processes import everfit
from support.spools import KINDS, batch

from everfit.blocks.settings import Settings
from everfit.deployments.cli.runs import result_of
from everfit.flows.monitoring_flow import monitoring
from everfit.flows.scoring_flow import scoring
from everfit.infra.serving.label_journal import LabelJournal
from everfit.infra.serving.spool import Spool
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.predictions import labels, prediction_log
from everfit.tasks.registry import model_registry
from everfit.tasks.registry.artifact_records import record_artifacts
from everfit.tasks.release.release import reconcile, release
from everfit.tasks.storage.deleted_keys import DeletedKey, read_deleted_keys, remember_key
from everfit.tasks.turns.context import Context

pytestmark = pytest.mark.usefixtures("prefect_server")

APRIL, MAY = datetime(2024, 4, 1, tzinfo=UTC), datetime(2024, 5, 1, tzinfo=UTC)


@pytest.fixture
def here(released: str) -> Context:
    """The model with a second champion, one deleted version in between, predictions, and a deleted key."""
    from support.deliveries import deliveries, write_month

    quiet = {"retraining": {"on": "nothing", "cadence": "never"}, "monitoring": {"report": "never"}}
    Path(released).write_text(yaml.safe_dump(yaml.safe_load(Path(released).read_text()) | quiet))
    context = Context(load_spec(released), Settings())
    first = context.mlflow.get_model_version("deliveries", "1")
    run = context.mlflow.get_run(first.run_id)
    for _ in range(2):  # as if trained again: another run with the same files
        copy = context.mlflow.create_run(run.info.experiment_id, tags={"mlflow.parentRunId": first.run_id})
        made = context.mlflow.create_model_version(
            "deliveries", first.source, run_id=copy.info.run_id, model_id=first.model_id, tags=dict(first.tags)
        )
        context.mlflow.log_artifacts(
            copy.info.run_id, context.mlflow.download_artifacts(first.run_id, "reference"), "reference"
        )
    context.mlflow.delete_model_version("deliveries", "2")
    version = model_registry.model_version(context.mlflow, "deliveries", int(made.version))
    record_artifacts(context.mlflow, context.ledger, context.workspace, version, actor="ann", reason="registered")
    release(context.ledger, context.mlflow, "deliveries", 3, expected_previous=1, reason="better", actor="ann")
    write_month(Path.cwd(), "spring", deliveries("2024-03-01", 62))
    scoring(released, until=APRIL)
    remember_key(context.workspace, "deliveries", DeletedKey(request="ab", columns=("id",), values=(1,), keys=(2,)))
    spool = Spool.claim(context.settings.state_dir / "serving" / "deliveries" / "spool")
    spool.append(KINDS, batch(0, 5))
    spool.close()
    journal = journal_of(context)
    told = pd.Series(pd.to_datetime(["2024-03-05"], utc=True))
    journal.keep([labels.label_rows([77], pd.Series([1]), told, "binary", "shop")])
    journal.spool.close()
    return context


def journal_of(context: Context) -> LabelJournal:
    folder = context.settings.state_dir / "serving" / "deliveries" / "labels"
    table = context.workspace.table("deliveries", "labels")
    return LabelJournal(folder, table, sync=True, every_s=5.0, most_days=9)


def lose_everything(here: Context) -> None:
    shutil.rmtree(here.workspace.uri)


def test_a_restored_model_scores_monitors_rolls_back_and_traces(here: Context, released: str) -> None:
    log = here.workspace.table("deliveries", "predictions")
    one = str(prediction_log.read(log, None, "sent_at")["_prediction_id"].iloc[0])
    rows = {name: here.workspace.table("deliveries", name).open().count() for name in ("dataset", "predictions")}
    stopped = threading.Event()

    def write() -> None:  # the loop and the service go on while the backup is made
        number = 100
        while not stopped.wait(0.05):
            here.workspace.write(here.workspace.turn_file("deliveries", "running", f"{number}.json"), b"{}")
            span = {"delta.deletedFileRetentionDuration": f"interval {number} days"}
            here.workspace.table("deliveries", "predictions").open().alter.set_table_properties(span)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        ((code, out, err),) = everfit(["backup", "deliveries.yaml", "--to", "kept", "--json"])
    finally:
        stopped.set()
        writer.join()
    assert code == 0, err
    made = json.loads(out)
    assert (made["missing"], made["counts"]["spool segments"]) == ([], 2)
    lose_everything(here)

    there = {
        "EVERFIT_WORKSPACE": str(Path("new").absolute()),
        "EVERFIT_LEDGER_URL": f"sqlite:///{Path('ledgers', 'new.db').absolute()}",
        "MLFLOW_TRACKING_URI": f"sqlite:///{Path('new', 'mlflow.db').absolute()}",
    }
    Path("new").mkdir()
    restored, again, verified, traced = everfit(
        ["restore", "kept", "--by", "ann", "--json"],
        ["restore", "kept"],
        ["verify", "deliveries", "--json"],
        ["trace", one, "--model", "deliveries", "--json"],
        **there,
    )
    assert restored[0] == 0, restored
    assert json.loads(restored[1])["champion"] == 3
    assert again[0] == 2
    assert "the ledger has a model 'deliveries'" in again[2]
    states = {entry["version"]: entry["state"] for entry in json.loads(verified[1])["versions"]}
    assert states == {1: "verified", 3: "verified"}
    assert (verified[0], json.loads(verified[1])["problems"]) == (0, [])
    assert traced[0] == 0, traced
    assert json.loads(traced[1])["version"]["version"] == 3

    with pytest.MonkeyPatch.context() as patched:
        for name, value in there.items():
            patched.setenv(name, value)
        now = Context(load_spec(released), Settings())
        assert now.spec.digest() == load_spec("deliveries", stored=False).digest()
        for name, count in rows.items():
            assert now.workspace.table("deliveries", name).open().count() == count  # type: ignore[arg-type]
        assert read_deleted_keys(now.workspace, "deliveries").requests[0].keys == (2,)
        assert list(Path("new/serving/deliveries/spool").glob("*/*.seg"))
        journal_of(now).drain.drain()
        assert 77 in labels.known_at(now.workspace.table("deliveries", "labels"), MAY)["_key"].tolist()
        assert reconcile(now.ledger, now.mlflow, "deliveries") == []
        versions = {number: model_registry.model_version(now.mlflow, "deliveries", number) for number in (1, 3)}
        assert [entry.run_id for entry in now.ledger.releases.of("deliveries")] == [
            versions[1].run_id,
            versions[3].run_id,
        ]
        child = now.mlflow.get_run(versions[3].run_id)
        assert child.data.tags["mlflow.parentRunId"] == versions[1].run_id
        assert result_of(scoring(released, until=MAY, return_state=True))["model_version"] == 3
        state: Any = monitoring(released, until=MAY, return_state=True)
        assert not state.is_failed(), state.message
        ((code, _, err),) = everfit(["rollback", "deliveries.yaml", "--reason", "complaints", "--by", "ann"])
        assert code == 0, err
        champion = model_registry.champion(now.mlflow, "deliveries")
        assert champion is not None
        assert champion.version == 1
