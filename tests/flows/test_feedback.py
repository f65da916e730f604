"""Batch scoring and labeling: each prediction once, each label with its prediction, whichever came first."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.deliveries import deliveries, write_month

from everfit.blocks.errors import DataError
from everfit.blocks.settings import Settings
from everfit.deployments.traced import _facts
from everfit.flows.labeling import labeling
from everfit.flows.scoring import scoring
from everfit.flows.training import training
from everfit.tasks.answering import labels
from everfit.tasks.answering.trace import _release, trace
from everfit.tasks.context import Context
from everfit.tasks.records import Window
from everfit.tasks.specs import load_spec

pytestmark = pytest.mark.usefixtures("prefect_server")

MARCH, APRIL = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC)


def of(state: Any) -> tuple[str, Any]:
    return state.name, state.result()


def test_predictions_and_labels_meet(model: str, workspace: Path) -> None:
    assert training(model, MARCH, return_state=True).name == "Promoted"
    march = deliveries("2024-03-02", 10, seed=1)
    write_month(workspace.parent, "march", march)
    until = datetime(2024, 3, 8, tzinfo=UTC)

    name, scored = of(scoring(model, MARCH, until, return_state=True))
    assert (name, scored["added"]) == ("Scored", int((march["sent_at"] < until).sum()))
    assert of(scoring(model, MARCH, until, return_state=True))[0] == "NothingNew"
    name, rest = of(scoring(model, None, APRIL, return_state=True))
    assert (name, rest["added"]) == ("Scored", int((march["sent_at"] >= until).sum()))

    name, told = of(labeling(model, until, return_state=True))
    assert name == "Labelled"
    assert told["unmatched"] == 40 * 60  # those of the time before anything was predicted
    assert of(labeling(model, until, return_state=True))[0] == "NothingNew"

    here = Context(load_spec(model), Settings())
    window = Window(since=MARCH, until=until)
    tables = [here.workspace.table("deliveries", name) for name in ("predictions", "labels")]
    then = labels.read_labelled(*tables, window, "sent_at", until)
    known = march[(march["sent_at"] + pd.Timedelta("1D") <= until) & (march["known_at"] <= until)]
    assert then["_label"].notna().sum() == len(known)
    assert then["_outlier"].between(0, 1).all()
    truth = march.set_index("id")["late"].astype(int).astype("str")
    given = then.dropna(subset=["_label"])
    assert (given["_label"].to_numpy() == truth.loc[given["id"]].to_numpy()).all()

    corrected = march.assign(late=~march["late"])
    write_month(workspace.parent, "march", corrected.assign(known_at=march["known_at"] + pd.Timedelta("10D")))
    name, told = of(labeling(model, APRIL, return_state=True))
    assert (name, told["recorded"]["corrected"]) == ("Labelled", len(known))
    assert labels.read_labelled(*tables, window, "sent_at", until)["_label"].equals(then["_label"])

    kept = {"predicted": tables[0], "told": tables[1], "ledger": here.ledger, "client": here.mlflow}
    origin = trace(then["_prediction_id"].iloc[0], "deliveries", **kept)
    assert origin.turn is not None
    assert origin.release is not None
    assert origin.label is not None
    assert origin.version.version == origin.release.version == then["_model_version"].iloc[0]
    assert origin.turn.turn.trigger.kind == "manual"
    assert origin.spec_digest == here.spec.digest()
    assert origin.version.snapshot_digest == origin.release.snapshot_digest
    told = dict(_facts(origin))
    assert "expectations held, 0 bad rows" in told["data"]
    assert told["release"].startswith("1 (")
    before = {"_predicted_at": MARCH - timedelta(days=400)}  # a batch is dated by its window, a trial's answer isn't
    assert _release(here.ledger, "deliveries", {**origin.prediction, **before}) == origin.release
    assert _release(here.ledger, "deliveries", {**origin.prediction, **before, "_arm": "challenger"}) is None
    with pytest.raises(DataError, match="has no prediction"):
        trace("01900000-0000-7000-8000-000000000000", "deliveries", **kept)
    with pytest.raises(DataError, match="is no prediction's id"):
        trace("nonsense", "deliveries", **kept)
