"""The example of an own signal in a real monitoring flow: measured, shown and logged by its name, and acted on."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from support.deliveries import SPEC, deliveries, write_month
from support.events import emitted

from everfit.blocks.settings import Settings
from everfit.deployments.cli.runs import result_of
from everfit.flows.monitoring_flow import monitoring
from everfit.flows.scoring_flow import scoring
from everfit.flows.training_flow import training
from everfit.tasks.core.event_names import LIMIT_EXCEEDED
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.monitoring.triage_history import TRIAGE, read_triages
from everfit.tasks.turns.context import Context

pytestmark = pytest.mark.usefixtures("prefect_server")

WINDOW = {"window": "14d", "report": "never"}


def test_an_own_signal_is_measured_shown_and_acted_on(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    began = datetime.now(UTC)
    # Given a model with a fortnight of predictions, and signals of the user, one of which raises
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    march, until = (datetime(2024, 3, day, tzinfo=UTC) for day in (1, 15))
    ok = {"function": "own_signal:largest_region", "at_most": 0.5, "action": "escalate"}
    low = ok | {"name": "region below a tenth", "at_most": 0.1}
    columns = {"columns": {**SPEC["columns"], "protected": ["region"], "features": ["distance", "region"]}}
    limits = {
        "fairness": {"max_demographic_parity_difference": 0.01, "windows": 1},
        "calibration": {"max_error": 0.0001},
    }
    Path(model).write_text(yaml.safe_dump(SPEC | columns | {"monitoring": WINDOW | limits | {"signals": [ok, low]}}))
    assert result_of(training(model, march, return_state=True))["state"] == "Promoted"
    write_month(Path(model).parent, "march", deliveries("2024-03-01", 14, seed=5))
    scoring(model, march, until, return_state=True)

    # When monitoring runs
    result: dict[str, Any] = result_of(monitoring(model, until, return_state=True))

    # Then triage acts on the one that is out of its bounds,
    assert (result["verdict"], result["rule"], result["state"]) == ("escalate", "signal_escalation", "Escalated")
    assert result["reasons"][0].startswith("region below a tenth: 0.3")
    assert [signal["ok"] for signal in result["signals"]["own"]] == [True, False]
    # and both are shown and kept by their names.
    rows = {row["area"]: row for row in result["evidence"]}
    assert rows["largest_region"]["status"] == "measured"
    assert rows["region below a tenth"]["finding"].endswith("is not at most 0.1")
    here = Context(load_spec(model), Settings())
    [judged] = read_triages(here.ledger.decisions.of("deliveries", kind=TRIAGE))
    assert [signal.signal for signal in judged.signals.own] == ["largest_region", "region below a tenth"]
    metrics = here.mlflow.get_run(result["mlflow_run_id"]).data.metrics
    assert 0.3 < metrics["largest_region.value"] < 0.5
    # So are fairness and calibration, which the spec limits.
    assert rows["fairness"]["finding"].startswith("demographic parity difference of region is")
    assert rows["calibration"]["finding"].endswith("at most 0.0001 is allowed)")
    assert {"fairness.parity_of_region", "fairness.odds_of_region", "calibration.error"} <= metrics.keys()
    # A limit that is surely exceeded is an event of its own, whatever the verdict is by.
    exceeded = emitted("deliveries", began, LIMIT_EXCEEDED)[LIMIT_EXCEEDED]
    assert "error" in {limit["name"] for limit in exceeded["limits"]}
    assert exceeded["rule"] == "signal_escalation"
    # And the columns of the window are kept for the page, which shows them then and now.
    page = here.workspace.read(here.workspace.file("pages", "deliveries", "index.html")).decode()
    assert "now: the window to 2024-03-15 00:00 UTC" in page
    assert "expected calibration error" in page
    with get_client(sync_client=True) as client:
        # Other tests leave artifacts of a model of the same name on the same server.
        own = ArtifactFilter(key=ArtifactFilterKey(any_=["deliveries-monitoring"]))
        pages = [str(artifact.data) for artifact in client.read_artifacts(artifact_filter=own)]
    assert any("| region below a tenth | measured |" in page for page in pages)

    # And one that raises is a failure, whatever else was found.
    broken = ok | {"function": "own_signal:not_there"}
    Path(model).write_text(yaml.safe_dump(SPEC | {"monitoring": WINDOW | {"signals": [broken]}}))
    state = monitoring(model, until, return_state=True)
    assert (state.name, state.is_failed()) == ("NotMeasured", True)
    assert "not_there" in str(state.message)
