"""Numbers that are written with a unit are the same numbers whatever way they come in."""

import csv
import io
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pytest
from support.turns import Loop
from support.ways_in import LATER, SPEC, UNTIL, context_of, write

from everfit.blocks.errors import SpecError
from everfit.infra.serving.protocol import parse_csv, records_table
from everfit.tasks.batch.label_collection import record_source_labels
from everfit.tasks.core.records import Window
from everfit.tasks.models.input_schema import InputError, InputSchema
from everfit.tasks.predictions import labels
from everfit.tasks.storage.table_schema import read_kinds

COLUMNS = {
    "key": ["id"],
    "event_time": "at",
    "target": "y",
    "numbers": {"price": {"unit": "€", "decimal": ","}, "share": {"unit": "%"}},
}


def german(number: float) -> str:
    return f"{number:,.2f} €".replace(",", "t").replace(".", ",").replace("t", ".")


def table() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows as they are written, and as they are meant."""
    meant = pd.DataFrame({"id": [f"K-{number}" for number in range(40)]})
    meant["at"] = pd.date_range("2024-01-01", periods=40, freq="h", tz="UTC")
    meant["price"] = [number * 131.25 for number in range(40)]
    meant["share"] = [float(number % 50) for number in range(40)]
    meant["y"] = [number * 2.5 for number in range(40)]
    written = meant.assign(
        price=meant["price"].map(german), share=[f"{value:.0f} %" for value in meant["share"]], y=meant["y"].map(german)
    )
    return written, meant


def spec(**columns: Any) -> dict[str, Any]:
    numbers = {**COLUMNS["numbers"], "y": {"unit": "€", "decimal": ","}}
    return {**SPEC, "task": "regression", "columns": {**COLUMNS, "numbers": numbers, **columns}}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl", "sqlite"])
def test_each_way_in_gives_the_same_numbers(tmp_path: Path, form: str) -> None:
    written, meant = table()
    loop = Loop(tmp_path, source=write(tmp_path / "data", "all", form, written), **spec())
    loop.turn(UNTIL)
    dataset = loop.workspace.table("sales", "dataset").read().sort_values("at", ignore_index=True)
    features = ["price", "share", "y"]
    pd.testing.assert_frame_equal(dataset[features], meant[features], check_dtype=False)

    # a label source and a file without units: all its values look like numbers with a decimal point
    whole = written.assign(y=[f"{value * 1000:,.0f}".replace(",", ".") for value in meant["y"]])
    loop.changes["source"] = write(tmp_path / "later", "some", "csv", whole[["id", "at", "price", "share", "y"]])
    record_source_labels(context_of(loop), Window(until=LATER))
    known = labels.known_at(loop.workspace.table("sales", "labels"), LATER)
    assert sorted(map(float, known[labels.LABEL])) == sorted(meant["y"] * 1000)

    # JSON with texts and with numbers, and CSV over HTTP
    inputs = InputSchema.of_frame(
        dataset,
        task="regression",
        features=["price", "share"],
        target="y",
        meanings=read_kinds(loop.workspace, "sales"),
    )
    text = io.StringIO()
    csv.writer(text).writerows([["price", "share"], *written[["price", "share"]].to_numpy().tolist()])
    right = meant[["price", "share"]].to_dict("list")
    for rows in (written, meant):
        request = records_table(orjson.loads(rows[["price", "share"]].to_json(orient="records")))
        assert inputs.check(request.columns, request.rows) == right
    request = parse_csv(text.getvalue().encode(), inputs)
    assert inputs.check(request.columns, request.rows) == right
    for other in ("$5", "1,5,5", "45 %%"):
        with pytest.raises(InputError, match="a finite number, which may be written in €"):
            inputs.check({"price": [other], "share": [1.0]}, 1)


def test_another_unit_goes_to_quarantine_with_its_reason(tmp_path: Path) -> None:
    written, _ = table()
    written.loc[3, "price"] = "$5"
    loop = Loop(tmp_path, source=write(tmp_path / "data", "all", "csv", written), **spec())
    loop.turn(UNTIL)
    assert len(loop.workspace.table("sales", "dataset").read()) == 39
    aside = loop.workspace.table("sales", "quarantine").read()
    assert "price: '$5' is no number in €" in aside.iloc[0].to_string()


def test_the_meaning_is_decided_by_the_first_batch(tmp_path: Path) -> None:
    written, _ = table()
    loop = Loop(tmp_path, source=write(tmp_path / "data", "all", "csv", written), **spec())
    loop.turn(UNTIL)
    changed = {**COLUMNS["numbers"], "price": {"unit": "$"}}
    loop.changes["columns"] = {**COLUMNS, "numbers": changed}
    with pytest.raises(SpecError, match=r"columns.numbers.price says how its numbers are written, but the dataset"):
        loop.turn(LATER)
