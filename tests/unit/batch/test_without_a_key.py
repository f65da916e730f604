"""Without a key, a label finds its prediction by the event time and the features, whatever way each came in."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pytest
from support.turns import Loop
from support.ways_in import FORMATS, LATER, UNTIL, context_of, servable_of, table_of, write

from everfit.infra.serving.protocol import identify, parse_csv, records_table
from everfit.infra.serving.servable import Servable
from everfit.tasks.batch.label_collection import collect_labels
from everfit.tasks.core.records import Window
from everfit.tasks.predictions import prediction_log
from everfit.tasks.storage.values import FAULTS

FEATURES = ["price", "count", "member", "code", "zip"]
SPEC = {
    "task": "binary",
    "columns": {"event_time": "at", "target": "y", "features": FEATURES},
    "training": {"holdout": "1d"},
}


@pytest.mark.slow
@pytest.mark.parametrize("trained", FORMATS)
@pytest.mark.parametrize("scored", ["csv", "parquet", "sqlite"])
def test_labels_find_their_predictions_by_event_time_and_features(tmp_path: Path, trained: str, scored: str) -> None:
    rows = table_of("numbers", FEATURES, 60).drop(columns="id")
    for place, name in enumerate(("price", "count", "member", "code")):
        rows[name] = rows[name].astype(object).where(rows.index % 7 != place, None)
    rows["price"], rows["count"] = rows["price"].astype(float), rows["count"].astype("Int64")
    loop = Loop(tmp_path, **SPEC, source=write(tmp_path / "data", "all", trained, rows))
    loop.turn(UNTIL)
    servable = servable_of(loop, key=(), identity=loop.spec.columns.identity)
    log = loop.workspace.table("sales", "predictions")
    asked = rows.drop(columns="y")
    records = orjson.loads(asked.assign(at=asked["at"].map(str)).to_json(orient="records"))
    for way, table in {
        "json": records_table(records[:20]),
        "csv": parse_csv(asked[20:40].to_csv(index=False).encode(), servable.inputs),
    }.items():
        checked = servable.inputs.check(table.columns, table.rows)
        columns = {**checked, **identify(table, checked, servable.inputs, 0).columns}
        predicted(log, servable, columns, table.rows, way)
    brought = servable.inputs.conform(servable.inputs.bring(asked[40:].reset_index(drop=True)).drop(columns=FAULTS))
    in_batch = {name: brought[name].tolist() for name in brought if name != "at"}
    at = [int(time.timestamp() * 1e6) for time in brought["at"]]
    cleaned = {name: [None if pd.isna(value) else value for value in values] for name, values in in_batch.items()}
    predicted(log, servable, {**cleaned, "at": at}, len(brought), "batch")

    loop.changes["source"] = write(tmp_path / "later", "all", scored, rows)
    result = collect_labels(context_of(loop), Window(until=LATER))

    assert (result.recorded.added, result.unmatched, result.aside.count) == (60, 0, 0)


def test_a_spec_without_features_or_time_has_nothing_to_join_by(tmp_path: Path) -> None:
    rows = table_of("numbers", FEATURES, 60)
    source = write(tmp_path / "data", "all", "csv", rows)
    roles: dict[str, Any] = {"target": "y", "features": FEATURES}
    assert Loop(tmp_path, **{**SPEC, "columns": roles}, source=source).spec.columns.identity == ()
    keyed = Loop(tmp_path, **{**SPEC, "columns": {**roles, "event_time": "at", "key": ["id"]}}, source=source)
    assert keyed.spec.columns.identity == ()


def predicted(log: Any, servable: Servable, columns: Mapping[str, Sequence[Any]], rows: int, writer: str) -> None:
    ids = [f"{writer}-{number}" for number in range(rows)]
    given = {**columns, prediction_log.PREDICTION_ID: ids}
    kinds = {name: kind for name, kind in servable.kinds.items() if name in given}
    logged = prediction_log.to_rows(given, kinds, [], "at", identity=servable.inputs.identity)
    prediction_log.append(log, logged, writer)
