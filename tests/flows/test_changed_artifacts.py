"""A model file that somebody replaced in MLflow's store is refused by everything that would load it."""

import json
import shutil
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.events import emitted
from support.processes import everfit
from support.s3 import free_port
from support.warm_popen import WarmPopen

from everfit.blocks.errors import ArtifactError
from everfit.blocks.settings import Settings
from everfit.deployments.cli.runs import result_of
from everfit.flows.monitoring_flow import monitoring
from everfit.flows.scoring_flow import scoring
from everfit.tasks.core.event_names import ARTIFACTS_CHANGED
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.registry import model_files, model_registry
from everfit.tasks.registry.artifact_records import DIGEST_TAG
from everfit.tasks.release.release import release
from everfit.tasks.turns.context import Context

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture
def here(released: str) -> Context:
    return Context(load_spec(released), Settings())


def model_file(here: Context, version: int = 1) -> Path:
    """Where MLflow's store has the model file of a version."""
    uri = here.mlflow.get_model_version_download_uri("deliveries", str(version))
    source = uri.removeprefix("file://")
    if "://" in uri.replace(uri, source):  # of the server's own form
        source = here.mlflow.get_logged_model(uri.rpartition("/")[2]).artifact_location.removeprefix("file://")
    return Path(source) / "model.skops"


def replace_model(here: Context) -> bytes:
    """Put another well-formed model in the place of the registered one; return the genuine file."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from everfit.tasks.models.skops_format import dump_model

    path = model_file(here)
    genuine = path.read_bytes()
    path.write_bytes(dump_model(make_pipeline(LogisticRegression()).fit([[0.0], [1.0]], [0, 1])))
    return genuine


def refused_by_service(serving: WarmPopen, url: str) -> dict[str, Any]:
    """The status of a service once it has refused a version."""
    give_up = time.monotonic() + 90
    while True:
        assert serving.poll() is None, Path("serve.log").read_text()
        assert time.monotonic() < give_up, Path("serve.log").read_text()
        with suppress(httpx.HTTPError):
            status: dict[str, Any] = httpx.get(url).json()
            if "not those that were registered" in Path("serve.log").read_text():
                return status
        time.sleep(0.05)


def test_a_turn_records_the_files_of_its_version(here: Context) -> None:
    version = model_registry.model_version(here.mlflow, "deliveries", 1)
    recorded = here.ledger.artifacts.find(version)

    assert recorded is not None
    assert {"model/MLmodel", "model/model.skops", "reference/outliers.json", "reference/sample.parquet"} <= {
        *recorded.files
    }
    assert here.mlflow.get_model_version("deliveries", "1").tags[DIGEST_TAG].startswith("sha256:")
    ((code, out, _),) = everfit(["verify", "deliveries.yaml", "--json"])
    assert code == 0
    assert [result["state"] for result in json.loads(out)["versions"]] == ["verified"]


def test_a_replaced_model_is_refused_by_each_command_and_flow(here: Context, released: str) -> None:
    # A second champion, so that there is a version to roll back to.
    copy = model_file(here).parent.with_name("copy")
    shutil.copytree(model_file(here).parent, copy)
    here.mlflow.create_model_version("deliveries", copy.as_uri())
    release(here.ledger, here.mlflow, "deliveries", 2, expected_previous=1, reason="a copy", actor="ann")
    genuine = replace_model(here)

    rollback, verify, again = everfit(
        ["rollback", "deliveries.yaml", "--reason", "complaints", "--by", "ann"],
        ["verify", "deliveries.yaml"],
        ["verify", "deliveries.yaml", "--record", "--by", "ann", "--reason", "looks good"],
    )
    assert rollback[0] == 2
    assert "'model/model.skops' has SHA-256" in rollback[2]
    assert rollback[2].count("\n") == 1
    assert verify[0] == again[0] == 1
    assert "version 1: changed" in verify[1]
    assert "version 1: changed" in again[1]  # a changed file is never recorded
    assert "Recorded version 2" in again[1]
    champion = model_registry.champion(here.mlflow, "deliveries")
    assert champion is not None
    assert champion.version == 2
    assert len(here.ledger.releases.of("deliveries")) == 2

    port = free_port()
    # The replaced version becomes champion by hand: it is not served, and scores, judges and monitors nothing.
    here.mlflow.set_registered_model_alias("deliveries", "champion", "1")
    serving = WarmPopen(
        [sys.executable, "-m", "everfit.deployments.cli.main", "serve", "deliveries.yaml", "--port", str(port)],
        stdout=(log := Path("serve.log").open("wb")),  # noqa: SIM115 - the process writes to it
        stderr=log,
    )
    try:
        status = refused_by_service(serving, f"http://127.0.0.1:{port}/models/deliveries")
        assert status["version"] is None
    finally:
        serving.terminate()
        serving.wait(60)
        log.close()
    assert "'model/model.skops' has SHA-256" in Path("serve.log").read_text()

    began = datetime.now(UTC)
    april = datetime(2024, 4, 1, tzinfo=UTC)
    scored = scoring(released, until=april, return_state=True)
    assert scored.is_failed()
    assert "not those that were registered" in str(scored.message)
    assert emitted("deliveries", began, ARTIFACTS_CHANGED)[ARTIFACTS_CHANGED]["version"] == 1
    with pytest.raises(ArtifactError):
        model_files.load(here.mlflow, here.ledger, model_registry.model_version(here.mlflow, "deliveries", 1))
    incidents = here.ledger.decisions.of("deliveries", kind="artifacts")
    assert {incident.verdict for incident in incidents} == {"refused"}

    # The file is restored, and all is well.
    model_file(here).write_bytes(genuine)
    moved, _, verified = everfit(*[[name, "deliveries.yaml"] for name in ("verify", "reconcile", "verify")])
    assert (moved[0], verified[0]) == (1, 0)
    assert "registry: release 2 made version 2 the champion, and the champion alias is at version 1" in moved[1]
    assert result_of(scoring(released, until=april, return_state=True))["model_version"] == 1


def test_a_replaced_reference_is_no_measure_of_drift(here: Context, released: str) -> None:
    import pandas as pd

    april = datetime(2024, 4, 1, tzinfo=UTC)
    scoring(released, until=april)
    version = model_registry.model_version(here.mlflow, "deliveries", 1)
    stored = Path(here.mlflow.get_run(version.run_id).info.artifact_uri.removeprefix("file://"), "reference")
    pd.read_parquet(stored / "sample.parquet").head(5).to_parquet(stored / "sample.parquet")

    began = datetime.now(UTC)
    state = monitoring(released, until=april, return_state=True)
    assert state.is_failed()
    assert "'reference/sample.parquet' has SHA-256" in str(state.message)
    payload = emitted("deliveries", began, ARTIFACTS_CHANGED)[ARTIFACTS_CHANGED]
    assert "sample.parquet" in payload["reason"]
