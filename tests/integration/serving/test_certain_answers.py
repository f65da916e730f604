"""Answers over HTTP have intervals or sets by the bounds in the registry, and a person is asked about unsure ones."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.tasks.batch import label_queue, manual_files
from everfit.tasks.core.answer_bounds import AnswerBounds
from everfit.tasks.predictions import prediction_log
from everfit.tasks.registry.bounds_tag import BOUNDS_TAG, read_bounds, write_bounds
from everfit.tasks.registry.model_registry import set_version_tag
from everfit.tasks.storage.tables import Table
from everfit.tasks.turns.context import Context

BOUNDS = AnswerBounds(promised=0.9, miss_rate=0.1, bound=0.5, rows=400)


def champion(registry: Any, source: str, bounds: AnswerBounds | None = BOUNDS) -> str:
    registry.champion("delays", registry.add("delays", source))
    if bounds is not None:
        assert write_bounds(registry.client, "delays", 1, bounds)
    return "delays"


def predicted(service: Any, *records: dict[str, Any]) -> list[dict[str, Any]]:
    answer = service.client.post("/models/delays/predict", json={"records": list(records)})
    assert answer.status_code == 200
    return list(answer.json()["predictions"])


def logged(workspace: Path) -> Any:
    return prediction_log.read(Table(str(workspace / "delays" / "predictions")), None, "departs")


def test_nothing_is_said_unless_the_spec_asks(registry: Any, serve: Any, good: dict[str, Any], workspace: Path) -> None:
    champion(registry, "regression")
    service = serve("delays")
    (one,) = predicted(service, good)
    headers = service.client.post("/invocations", json={"dataframe_records": [good]}).headers
    service.stop()

    assert not {"interval", "prediction_set", "abstained"} & one.keys()
    assert not {"everfit-bounds", "everfit-abstained"} & headers.keys()
    assert not {"_bound", "_abstained"} & set(logged(workspace).columns)


def test_a_number_has_an_interval_that_follows_the_registry(
    registry: Any, serve: Any, good: dict[str, Any], workspace: Path, until: Any
) -> None:
    champion(registry, "regression")
    service = serve("delays", intervals=0.9, abstain={"wider_than": 2})
    (first,) = predicted(service, good)
    assert first["interval"] == [first["prediction"] - 0.5, first["prediction"] + 0.5]
    assert first["abstained"] is False

    adapted = BOUNDS.model_copy(update={"bound": 1.5, "adapted_until": datetime(2024, 1, 1, tzinfo=UTC)})
    assert write_bounds(registry.client, "delays", 1, adapted)
    assert not write_bounds(registry.client, "delays", 1, BOUNDS)  # which are older
    until(lambda: service.client.get("/models/delays").json()["intervals"]["bound"] == 1.5)
    (second,) = predicted(service, good)
    assert second["interval"] == [second["prediction"] - 1.5, second["prediction"] + 1.5]
    assert second["abstained"] is True
    answer = service.client.post("/invocations", json={"dataframe_records": [good, good]})
    assert json.loads(f"[{answer.headers['everfit-bounds']}]") == [1.5, 1.5]
    assert json.loads(f"[{answer.headers['everfit-abstained']}]") == [True, True]
    assert 'everfit_abstained_total{model="delays"} 3.0' in service.client.get("/metrics").text

    # What can't be read is no reason to stop; the last bounds stay.
    set_version_tag(registry.client, "delays", 1, BOUNDS_TAG, "{")
    registry.champion("delays", registry.add("delays", "regression"))
    until(lambda: service.client.get("/models/delays").json()["version"] == 2)
    (unknown,) = predicted(service, good)
    assert unknown["interval"] is None
    assert unknown["abstained"] is True
    service.stop()
    rows = logged(workspace).set_index("_prediction_id")
    assert rows.loc[first["prediction_id"], ["_bound", "_abstained"]].tolist() == [0.5, False]
    assert rows.loc[second["prediction_id"], ["_bound", "_abstained"]].tolist() == [1.5, True]
    assert pd.isna(rows.loc[unknown["prediction_id"], "_bound"])


def test_the_bounds_are_known_after_a_restart_without_the_registry(
    registry: Any, serve: Any, good: dict[str, Any], mlflow_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    champion(registry, "regression")
    service = serve("delays", intervals=0.9)
    predicted(service, good)
    service.stop()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")

    again = serve("delays", intervals=0.9)
    (one,) = predicted(again, good)
    assert not again.client.get("/models/delays").json()["registry_reachable"]
    assert one["interval"] == [one["prediction"] - 0.5, one["prediction"] + 0.5]


@pytest.mark.parametrize("most", [1_000_000, 10])
def test_a_class_has_a_set_and_unsure_rows_go_to_a_person(
    registry: Any,
    serve: Any,
    made_up: Any,
    good: dict[str, Any],
    workspace: Path,
    most: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where there are so many answers that the other rows are picked from a draw."""
    monkeypatch.setattr("everfit.tasks.predictions.key_draw.MOST", most)
    champion(registry, "multiclass", BOUNDS.model_copy(update={"bound": 0.7}))
    rows = made_up(60)
    rows["wind"] = rows["wind"].fillna(10.0)
    records = json.loads(rows.to_json(orient="records", date_format="iso"))
    service = serve("delays", intervals=0.9, abstain={"more_than_one_class": True})
    answers = predicted(service, *records)
    service.stop()

    for one in answers:
        chances = one["probabilities"]
        best = max(chances, key=chances.__getitem__)
        assert one["prediction_set"] == [name for name, chance in chances.items() if name == best or 1 - chance <= 0.7]
        assert one["abstained"] == (len(one["prediction_set"]) > 1)
    unsure = {one["prediction_id"] for one in answers if one["abstained"]}
    assert 0 < len(unsure) < 60
    spec = {"name": "delays", "task": "multiclass", "source": {"kind": "files", "path": "flights.csv"}}
    columns = {"key": ["flight"], "event_time": "departs", "target": "late"}
    serving = {"intervals": 0.9, "abstain": {"more_than_one_class": True}}
    made = ModelSpec.model_validate({**spec, "columns": columns, "release": {"serving": serving}})
    context = Context(made, Settings())
    queue, shown = label_queue.make_queue(
        context,
        datetime(2013, 10, 12, tzinfo=UTC),
        5,
        since=datetime(2013, 10, 1, tzinfo=UTC),
        basis=label_queue.Basis(1, ("early", "late", "on time")),
    )
    asked = [row for row in queue.rows if row.reason == "abstained"]
    assert {row.prediction_id for row in asked} == unsure
    assert {row.inclusion for row in asked} == {1.0}
    others = len(queue.rows) - len(asked)
    assert others == 5 if most > 60 else 0 < others <= 5  # of the others as many as were wanted
    assert len(shown) == len(queue.rows)


def test_batch_scoring_says_the_same(registry: Any, serve: Any, made_up: Any, workspace: Path) -> None:
    champion(registry, "regression")
    rows = made_up(50)
    rows.to_parquet("rows.parquet")
    spec = {"name": "delays", "task": "regression", "source": {"kind": "files", "path": "rows.parquet"}}
    columns = {"key": ["flight"], "event_time": "departs", "target": "late"}
    serving = {"intervals": 0.9, "abstain": {"wider_than": 0.9}}
    made = ModelSpec.model_validate({**spec, "columns": columns, "release": {"serving": serving}})
    manual_files.score_file(Context(made, Settings()), "rows.parquet")

    found = logged(workspace)
    assert found["_bound"].tolist() == [0.5] * 50
    assert found["_abstained"].tolist() == [True] * 50
    assert read_bounds(registry.client, "delays", 1) == BOUNDS
