"""Batch scoring and labeling: each prediction once, each label with its prediction, whichever came first."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.deliveries import deliveries, write_month

from everfit.blocks.errors import DataError
from everfit.blocks.settings import Settings
from everfit.flows.labeling_flow import labeling
from everfit.flows.scoring_flow import scoring
from everfit.tasks.batch import manual_files
from everfit.tasks.batch.trace import _release, trace_prediction
from everfit.tasks.core.outside_text import html_text
from everfit.tasks.core.records import Window
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.pages.prediction_page import prediction_page, trace_facts
from everfit.tasks.predictions import labels, prediction_log
from everfit.tasks.turns.context import Context

pytestmark = pytest.mark.usefixtures("prefect_server")

MARCH, APRIL = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC)


def batch(here: Context) -> pd.DataFrame:
    """The log as it is read, without what was handed over in files."""
    rows = prediction_log.read(here.workspace.table("deliveries", "predictions"), None, "sent_at")
    return rows[rows["_client"] == "batch"]


def of(state: Any) -> tuple[str, Any]:
    return state.name, state.result()


def test_predictions_and_labels_meet(released: str) -> None:
    march = deliveries("2024-03-02", 10, seed=1)
    write_month(Path(released).parent, "march", march)
    until = datetime(2024, 3, 8, tzinfo=UTC)

    name, scored = of(scoring(released, MARCH, until, return_state=True))
    assert (name, scored["added"]) == ("Scored", int((march["sent_at"] < until).sum()))
    assert of(scoring(released, MARCH, until, return_state=True))[0] == "NothingNew"
    name, rest = of(scoring(released, None, APRIL, return_state=True))
    assert (name, rest["added"]) == ("Scored", int((march["sent_at"] >= until).sum()))

    name, content = of(labeling(released, until, return_state=True))
    assert name == "Labelled"
    assert content["unmatched"] == 40 * 60  # those of the time before anything was predicted
    assert of(labeling(released, until, return_state=True))[0] == "NothingNew"

    here = Context(load_spec(released), Settings())
    window = Window(since=MARCH, until=until)
    tables = [here.workspace.table("deliveries", name) for name in ("predictions", "labels")]
    then = labels.read_labelled(*tables, window, "sent_at", until)
    known = march[march["known_at"] <= until]
    assert then["_label"].notna().sum() == len(known)
    assert then["_outlier"].between(0, 1).all()
    truth = march.set_index("id")["late"].astype(int).astype("str")
    given = then.dropna(subset=["_label"])
    assert (given["_label"].to_numpy() == truth.loc[given["id"]].to_numpy()).all()

    corrected = march.assign(late=~march["late"])
    write_month(Path(released).parent, "march", corrected.assign(known_at=march["known_at"] + pd.Timedelta("10D")))
    name, content = of(labeling(released, APRIL, return_state=True))
    assert (name, content["recorded"]["corrected"]) == ("Labelled", len(known))
    assert labels.read_labelled(*tables, window, "sent_at", until)["_label"].equals(then["_label"])

    kept = {"predicted": tables[0], "labelled": tables[1], "ledger": here.ledger, "client": here.mlflow}
    origin = trace_prediction(then["_prediction_id"].iloc[0], "deliveries", **kept)
    assert origin.turn is not None
    assert origin.release is not None
    assert origin.label is not None
    assert origin.version.version == origin.release.version == then["_model_version"].iloc[0]
    assert origin.turn.turn.trigger.kind == "manual"
    assert origin.spec_digest == here.spec.digest()
    assert origin.version.snapshot_digest == origin.release.snapshot_digest
    content = dict(trace_facts(origin))
    assert "expectations met, 0 bad rows" in content["data"]
    assert content["release"].startswith("1 (")
    page = prediction_page("the-id", origin, APRIL)
    assert all(html_text(value) in page for value in content.values())
    assert "<h1>Prediction the-id</h1>" in page
    assert "On the hold-out" in page
    assert "distance" not in page.split("The turn that trained the model")[0]  # no value of the row
    before = {"_predicted_at": MARCH - timedelta(days=400)}  # a batch is dated by its window, a trial's answer isn't
    assert _release(here.ledger, "deliveries", {**origin.prediction, **before}) == origin.release
    assert _release(here.ledger, "deliveries", {**origin.prediction, **before, "_arm": "challenger"}) is None
    with pytest.raises(DataError, match="has no prediction"):
        trace_prediction("01900000-0000-7000-8000-000000000000", "deliveries", **kept)
    with pytest.raises(DataError, match="is not the id of a prediction"):
        trace_prediction("nonsense", "deliveries", **kept)


def test_each_row_is_predicted_once_whatever_was_killed_came_late_or_was_handed_over(
    released: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, march, append = Path(released).parent, deliveries("2024-03-02", 10, seed=1), prediction_log.append
    since, *ends = [datetime(2024, 3, number, tzinfo=UTC) for number in (2, 10, 11, 13)]
    write_month(folder, "march-1", march[:100])
    write_month(folder, "march-2", march[150:300])
    here = Context(load_spec(released), Settings())

    def killed(*given: Any) -> None:
        append(*given)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(prediction_log, "append", killed)
        with pytest.raises(KeyboardInterrupt):
            scoring(released, since, ends[0], return_state=True)
    assert 0 < len(batch(here)) < 250
    for end in (ends[1], ends[0], ends[1]):
        scoring(released, since, end, return_state=True)
        assert sorted(batch(here)["id"]) == sorted([*march["id"][:100], *march["id"][150:300]])

    # The rest comes: some of it late, some of it handed over in a file before it is in the source.
    march[300:340].to_csv(folder / "handed.csv", index=False)
    assert [manual_files.score_file(here, str(folder / "handed.csv")).added for _ in range(2)] == [40, 0]
    write_month(folder, "march-3", pd.concat([march[100:150], march[300:]]))
    assert of(scoring(released, None, ends[2], return_state=True))[1]["added"] == 150
    assert sorted(batch(here)["id"]) == sorted(march["id"])

    # A moment of the past again, and what was never asked for.
    assert [of(scoring(released, None, end, return_state=True))[0] for end in ends] == ["NothingNew"] * 3
    assert of(scoring(released, MARCH - timedelta(days=1), since, return_state=True))[0] == "Scored"
