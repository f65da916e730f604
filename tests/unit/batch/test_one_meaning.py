"""One meaning of a value: whatever way a row comes in, it has the same key and the same features."""

import csv
import io
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.turns import Loop
from support.ways_in import FEATURES, FORMATS, IDS, LATER, SPEC, UNTIL, context_of, servable_of, table_of, write

from everfit.infra.serving.label_endpoint import read_labels
from everfit.infra.serving.protocol import identify, parse_csv, records_table
from everfit.infra.serving.servable import Servable
from everfit.tasks.batch.label_collection import record_source_labels
from everfit.tasks.batch.manual_files import record_label_file
from everfit.tasks.core.records import Window
from everfit.tasks.predictions import labels, prediction_log
from everfit.tasks.retention.key_rows import keys_of, read_key
from everfit.tasks.storage.tables import KEY

FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}

SPELLINGS: list[Callable[[str], str]] = [
    str.upper,
    str.lower,
    lambda text: f" {text.replace(' ', '  ')}\u00a0",
    lambda text: text.translate(FULL_WIDTH),
    lambda text: unicodedata.normalize("NFD", text),
]


def spec_of(alike: list[str]) -> dict[str, Any]:
    """The spec of a model for which the spelling of some columns does not count."""
    return {**SPEC, "columns": {"key": ["id"], "event_time": "at", "target": "y", "any_spelling": alike}}


def respelled(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Return rows whose values of some columns are written in many ways."""
    written = {
        name: [SPELLINGS[number % len(SPELLINGS)](str(value)) for number, value in enumerate(rows[name])]
        for name in columns
    }
    return rows.assign(**written)


def features_by_http(servable: Servable, table: Any) -> tuple[list[str], pd.DataFrame]:
    inputs = servable.inputs
    checked = inputs.check(table.columns, table.rows)
    identified = identify(table, checked, inputs, 0)
    columns = {**checked, **identified.columns, prediction_log.PREDICTION_ID: [str(n) for n in range(table.rows)]}
    kinds = {name: kind for name, kind in servable.kinds.items() if name in columns}
    logged = prediction_log.to_rows(columns, kinds, ["id"], "at").to_pandas()
    return logged[KEY].tolist(), logged[[column.name for column in inputs.features]]


@pytest.mark.slow
@given(
    ids=st.sampled_from(sorted(IDS)),
    features=st.lists(st.sampled_from(sorted(FEATURES)), min_size=1, unique=True),
    trained=st.sampled_from(FORMATS),
    scored=st.sampled_from(FORMATS),
    rows=st.integers(30, 60),
    subset=st.integers(0, 2),
    spelled=st.booleans(),
)
@settings(max_examples=examples(30), deadline=None, phases=[Phase.explicit, Phase.generate])
def test_each_way_in_gives_the_same_key_and_the_same_features(
    ids: str, features: list[str], trained: str, scored: str, rows: int, subset: int, spelled: bool
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        table = table_of(ids, features, rows)
        alike = ["id", "y", *({"code", "shop"} & {*features})] if spelled else []
        if spelled:
            table["y"] = table["y"].map({0: "No", 1: "Yes"})
        loop = Loop(folder, source=write(folder / "data", "all", trained, respelled(table, alike)), **spec_of(alike))
        loop.turn(UNTIL)
        dataset = loop.workspace.table("sales", "dataset").read(window=None, time_column="at")
        right = dict(zip(dataset["at"], dataset[KEY], strict=True))
        own = dataset.set_index("at")
        servable = servable_of(loop)
        some = respelled(
            table.iloc[subset::3].reset_index(drop=True), alike
        )  # a window may lack what made the column what it is
        expected = [right[at] for at in some["at"]]
        columns = [column.name for column in servable.inputs.features]

        # the source, and a label file, of any format
        loop.changes["source"] = write(folder / "later", "some", scored, some)
        context = context_of(loop)
        recorded, aside = record_source_labels(context, Window(until=LATER))
        assert (recorded.added, aside.count) == (len(some), 0)
        known = labels.known_at(loop.workspace.table("sales", "labels"), LATER)
        assert sorted(known[KEY]) == sorted(expected)
        if scored != "sqlite":
            given_by_file = record_label_file(context, loop.changes["source"]["path"], origin="file", now=LATER)
            assert given_by_file.recorded.unchanged + given_by_file.recorded.older == len(some)

        # JSON and CSV over HTTP
        records = orjson.loads(some.assign(at=some["at"].map(str)).to_json(orient="records"))
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(some.columns)
        writer.writerows([[str(value) for value in row] for row in some.itertuples(index=False)])
        for request in (records_table(records), parse_csv(text.getvalue().encode(), servable.inputs)):
            keys, frame = features_by_http(servable, request)
            assert keys == expected
            pd.testing.assert_frame_equal(
                frame, own.loc[some["at"], columns].reset_index(drop=True), check_dtype=False, check_names=False
            )
        asked = {"labels": [{"key": record["id"], "label": record["y"]} for record in records]}
        given_rows = read_labels(json.loads(json.dumps(asked)), servable, LATER, "client")
        assert given_rows[KEY].tolist() == expected
        answers = [str(value).strip().lower() for value in table["y"].iloc[subset::3]]
        assert given_rows[labels.LABEL].tolist() == answers

        # a person who asks for a row to be forgotten
        assert expected[0] in keys_of(loop.spec, loop.workspace, read_key(loop.spec, [str(some["id"].iloc[0])])).keys
