"""One meaning of a value: whatever way a row comes in, it has the same key and the same features."""

import csv
import io
import json
import sqlite3
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from support.examples import examples
from support.turns import Loop

from everfit.blocks.errors import DataError
from everfit.blocks.settings import Settings
from everfit.infra.serving.label_endpoint import read_labels
from everfit.infra.serving.protocol import identify, parse_csv, records_table
from everfit.infra.serving.servable import Servable
from everfit.tasks.batch.label_collection import record_source_labels
from everfit.tasks.batch.label_keys import repair_label_keys
from everfit.tasks.batch.manual_files import record_label_file
from everfit.tasks.batch.scoring import ScoringResult
from everfit.tasks.core.records import ModelVersion, Window
from everfit.tasks.data.quarantine_acceptance import accept_rows
from everfit.tasks.data.recheck import recheck_dataset
from everfit.tasks.models.input_column import InputError
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.predictions import label_recording, labels, prediction_log
from everfit.tasks.retention.key_rows import keys_of, read_key, require_readable
from everfit.tasks.scoring.scorer import Scorer
from everfit.tasks.scoring.set_aside import RowsSetAside
from everfit.tasks.storage.table_schema import read_kinds
from everfit.tasks.storage.tables import KEY, row_keys
from everfit.tasks.storage.values import FAULTS
from everfit.tasks.turns.context import Context

UNTIL, LATER = datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)
SPEC = {
    "task": "binary",
    "columns": {"key": ["id"], "event_time": "at", "target": "y"},
    "training": {"holdout": "1d"},
}
IDS: dict[str, Callable[[int], Any]] = {
    "numbers": lambda number: 1000 + number,
    "texts": lambda number: f"K-{number}",
    "digits and letters": lambda number: f"A{number}" if number % 3 == 0 else str(1000 + number),
    "leading zeros": lambda number: f"{number:05d}",
    "20 digits": lambda number: f"20240101{number:012d}",
    "18 digits": lambda number: 10**17 + number,
}
FEATURES: dict[str, Callable[[int], Any]] = {
    "price": lambda number: number / 4,
    "count": lambda number: number % 5,
    "member": lambda number: number % 2 == 0,
    "code": lambda number: ("10", "20", "A7")[number % 3],
    "zip": lambda number: ("01067", "80331")[number % 2],
    "shop": lambda number: ("North Pier", "Köln")[number % 2],
}
FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
SPELLINGS: list[Callable[[str], str]] = [
    str.upper,
    str.lower,
    lambda text: f" {text.replace(' ', '  ')}\u00a0",
    lambda text: text.translate(FULL_WIDTH),
    lambda text: unicodedata.normalize("NFD", text),
]
FORMATS = ["csv", "parquet", "jsonl", "sqlite"]


def table_of(ids: str, features: list[str], rows: int) -> pd.DataFrame:
    at = pd.date_range("2024-01-01", periods=rows, freq="h", tz="UTC")
    columns: dict[str, Any] = {"id": [IDS[ids](number) for number in range(rows)], "at": at}
    columns |= {name: [FEATURES[name](number) for number in range(rows)] for name in features}
    return pd.DataFrame({**columns, "y": [number % 2 for number in range(rows)]})


def write(folder: Path, name: str, form: str, rows: pd.DataFrame) -> dict[str, Any]:
    """Write rows in a format, and return the source that reads them."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.{form}"
    if form == "csv":
        rows.to_csv(path, index=False)
    elif form == "parquet":
        rows.to_parquet(path, index=False)
    elif form == "jsonl":
        rows.assign(at=rows["at"].map(str)).to_json(path, orient="records", lines=True)
    else:
        with sqlite3.connect(path) as database:
            rows.assign(at=rows["at"].map(str)).to_sql("rows", database, index=False)
        database.close()
        return {"kind": "sql", "url": f"sqlite:///{path}", "table": "rows"}
    return {"kind": "files", "path": str(path)}


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


def context_of(loop: Loop) -> Context:
    return Context(loop.spec, Settings(workspace=loop.workspace.uri))


def servable_of(loop: Loop) -> Servable:
    """A model of the dataset that everfit could have trained."""
    rows = loop.workspace.table("sales", "dataset").read()
    kinds = read_kinds(loop.workspace, "sales")
    features = [name for name in kinds if name not in {"id", "at", "y"}]
    inputs = InputSchema.of_frame(
        rows, task="binary", features=features, key=["id"], event_time="at", target="y", meanings=kinds
    )
    classes = rows["y"].astype(int) if kinds["y"] in {"whole", "boolean"} else rows["y"]
    model = DummyClassifier(strategy="prior").fit(rows[features], classes)
    return Servable(ModelVersion.model_validate(VERSION), Scorer(model, inputs, 1))


VERSION = {"model": "sales", "version": 1, "run_id": "", "trained_until": UNTIL, "snapshot_digest": ""}


def features_by_http(servable: Servable, table: Any) -> tuple[list[str], pd.DataFrame]:
    inputs = servable.inputs
    checked = inputs.check(table.columns, table.rows)
    identified = identify(table, checked, inputs, 0)
    columns = {**checked, **identified.columns, prediction_log.PREDICTION_ID: [str(n) for n in range(table.rows)]}
    kinds = {name: kind for name, kind in servable.kinds.items() if name in columns}
    logged = prediction_log.to_rows(columns, kinds, ["id"], "at").to_pandas()
    return logged[KEY].tolist(), logged[[column.name for column in inputs.features]]


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


@pytest.fixture
def members(tmp_path: Path) -> Loop:
    rows = table_of("numbers", ["price", "member"], 60)
    rows["y"] = rows["y"] == 1
    loop = Loop(tmp_path, **SPEC, source=write(tmp_path / "data", "all", "parquet", rows))
    loop.turn(UNTIL)
    return loop


def test_booleans_are_taken_as_true_and_false_or_1_and_0(members: Loop) -> None:
    servable = servable_of(members)
    inputs = servable.inputs

    given_as = [{"price": 1.5, "member": value} for value in (True, 1, "true", 1.0)]
    checked = inputs.check(records_table(given_as).columns, len(given_as))

    assert checked["member"] == [1.0, 1.0, 1.0, 1.0]
    with pytest.raises(InputError, match="column 'member', row 0: expected true or false, got 2"):
        inputs.check({"price": [1.5], "member": [2]}, 1)


def test_the_answer_to_a_target_of_booleans_is_a_boolean(members: Loop) -> None:
    servable = servable_of(members)

    assert [servable.inputs.answer(value) for value in servable.scorer.classes] == [False, True]
    for value in (True, 1, "true", "1"):
        rows = read_labels({"labels": [{"key": 1000, "label": value}]}, servable, LATER, "client")
        assert rows[labels.LABEL].tolist() == ["1"]


def test_a_label_too_large_to_compute_with_is_refused_with_its_value() -> None:
    at = pd.Series([pd.Timestamp(LATER)] * 2)
    with pytest.raises(DataError, match=r"a label is '-1e\+300'; give finite numbers of at most 3.4e\+38"):
        labels.label_rows([1, 2], pd.Series([1.0, -1e300]), at, "regression", "file")


def test_an_infinite_label_is_set_aside_and_the_others_are_recorded(tmp_path: Path) -> None:
    rows = table_of("numbers", ["price"], 60)
    rows["y"] = rows["price"] * 2
    loop = Loop(tmp_path, **{**SPEC, "task": "regression"}, source=write(tmp_path / "data", "all", "parquet", rows))
    loop.turn(UNTIL)
    rows.loc[4, "y"] = np.inf
    loop.changes["source"] = write(tmp_path / "data", "later", "csv", rows)

    recorded, aside = record_source_labels(context_of(loop), Window(until=LATER))

    assert (recorded.added, aside.count) == (59, 1)
    assert [one.model_dump() for one in aside.rows] == [{"row": "id=1004", "reason": "y: 'inf' is not finite"}]


def test_infinite_numbers_of_an_earlier_version_leave_the_dataset_by_command(members: Loop) -> None:
    dataset = members.workspace.table("sales", "dataset")
    old = dataset.read().head(2)
    old["price"] = [np.inf, -1e300]
    dataset.supersede(old, "an earlier version")
    assert (dataset.read()["price"].abs() > 1e38).sum() == 2

    assert recheck_dataset(members.spec, members.workspace, LATER) == 2

    assert (members.count("dataset"), members.count("quarantine")) == (58, 2)
    assert (dataset.read()["price"].abs() < 1e38).all()
    assert sorted(members.quarantine()["_reasons"]) == [
        "price: '-1e+300' is too large to compute with; the largest number is 3.4e+38",
        "price: 'inf' is not finite",
    ]
    assert recheck_dataset(members.spec, members.workspace, LATER) == 0
    assert accept_rows(members.spec, members.workspace, LATER).still_bad == 2


def test_labels_on_record_under_a_key_of_another_type_get_that_of_their_predictions(members: Loop) -> None:
    context, servable = context_of(members), servable_of(members)
    ids = [1000, 1001, 1002]
    columns = {"price": [1.0] * 3, "member": [1.0] * 3, "id": ids, "at": [0, 1, 2], "_prediction_id": ["a", "b", "c"]}
    kinds = {name: kind for name, kind in servable.kinds.items() if name in columns}
    prediction_log.append(
        members.workspace.table("sales", "predictions"), prediction_log.to_rows(columns, kinds, ["id"], "at"), "test"
    )
    wrong = row_keys(pd.DataFrame({"id": ["1000", "1001", "77"]}), ["id"])
    recorded, known_at = members.workspace.table("sales", "labels"), pd.Series([pd.Timestamp(UNTIL)] * 3)
    label_recording.record_labels(recorded, labels.label_rows(wrong, pd.Series([1, 0, 1]), known_at, "binary", "file"))

    assert repair_label_keys(context) == 2

    right = set(row_keys(pd.DataFrame({"id": ids}), ["id"]).tolist())
    assert len(right & set(labels.known_at(recorded, LATER)[KEY])) == 2
    assert repair_label_keys(context) == 0


def test_a_batch_scores_the_good_rows_and_sets_the_bad_ones_aside(members: Loop, tmp_path: Path) -> None:
    from everfit.tasks.batch.source_rows import read_rows
    from everfit.tasks.scoring.batch_scoring import ScoringBatch, score_window

    rows = table_of("numbers", ["price", "member"], 20).astype({"price": object, "at": str, "member": object})
    rows.loc[3, "price"], rows.loc[4, "price"], rows.loc[5, "at"] = "error 17", "inf", None
    rows.loc[6, "member"], rows.loc[7, "price"] = None, "1e300"
    members.changes["source"] = write(tmp_path / "data", "window", "csv", rows)
    log = members.workspace.table("sales", "predictions")

    batch = ScoringBatch(Window(until=LATER))
    added, aside = score_window(servable_of(members).scorer, read_rows(context_of(members), batch.window), log, batch)

    assert (added, aside.count, aside.read) == (16, 4, 20)
    assert [(one.row, one.reason) for one in aside.rows] == [
        ("id=1003", "price: 'error 17' is no number"),
        ("id=1004", "price: 'inf' is not finite"),
        ("id=1005", "at: the row has no event time"),
        ("id=1007", "price: '1e300' is too large to compute with; the largest number is 3.4e+38"),
    ]
    assert FAULTS not in log.columns()


def test_a_label_file_of_another_spelling_is_one_error(tmp_path: Path) -> None:
    rows = table_of("numbers", ["price"], 60)
    rows["y"] = rows["y"].map({0: "Paid", 1: "Late"})
    loop = Loop(tmp_path, **SPEC, source=write(tmp_path / "data", "all", "csv", rows))
    loop.turn(UNTIL)
    context = context_of(loop)
    shouted = rows[["id", "y"]].assign(y=rows["y"].str.upper())
    shouted.to_csv(tmp_path / "shouted.csv", index=False)

    with pytest.raises(
        DataError, match="unknown classes, such as 'LATE', 'PAID'; the classes of sales are 'Late', 'Paid'"
    ):
        record_label_file(context, str(tmp_path / "shouted.csv"), origin="file", now=LATER)
    assert not loop.workspace.table("sales", "labels").exists()


def test_words_for_the_classes_0_and_1_are_one_error_too(tmp_path: Path) -> None:
    """Given a model of 0 and 1, when a file says yes and no, then both spellings are shown; a few are set aside."""
    rows = table_of("numbers", ["price"], 60)
    loop = Loop(tmp_path, **SPEC, source=write(tmp_path / "data", "all", "csv", rows))
    loop.turn(UNTIL)
    told = rows[["id", "y"]].assign(y=rows["y"].map({0: "no", 1: "yes"}))
    told.to_csv(tmp_path / "told.csv", index=False)
    told.assign(y=told["y"].where(told.index < 3, rows["y"].astype(str))).to_csv(tmp_path / "few.csv", index=False)

    with pytest.raises(DataError, match=r"60 of 60 labels are of unknown classes, such as 'no', 'yes'; .* '0', '1'"):
        record_label_file(context_of(loop), str(tmp_path / "told.csv"), origin="file", now=LATER)
    result = record_label_file(context_of(loop), str(tmp_path / "few.csv"), origin="file", now=LATER)
    assert (result.recorded.added, result.aside.count) == (57, 3)


def test_unknown_and_contradicting_labels_of_a_file_are_set_aside(tmp_path: Path) -> None:
    rows = table_of("numbers", ["price"], 60)
    rows["y"] = rows["y"].map({0: "Paid", 1: "Late"})
    loop = Loop(tmp_path, **SPEC, source=write(tmp_path / "data", "all", "csv", rows))
    loop.turn(UNTIL)
    given_rows = pd.DataFrame(
        {"id": [1000, 1001, 1002, 1002, 1003, 1003], "y": ["Paid", "?!", "Paid", "Late", "Late", "Late"]}
    )
    given_rows.to_csv(tmp_path / "given.csv", index=False)

    result = record_label_file(context_of(loop), str(tmp_path / "given.csv"), origin="file", now=LATER)

    assert (result.recorded.added, result.aside.count, result.aside.read) == (2, 3, 6)
    assert [(one.row, one.reason) for one in result.aside.rows] == [
        ("id=1001", "y: '?!' is no class of the model"),
        ("id=1002", "y: the key has several labels"),
        ("id=1002", "y: the key has several labels"),
    ]


def test_each_row_of_a_label_file_is_counted(tmp_path: Path) -> None:
    rows = table_of("numbers", ["price"], 60)
    loop = Loop(tmp_path, **SPEC, source=write(tmp_path / "data", "all", "csv", rows))
    loop.turn(UNTIL)
    # A label twice, a row without one, a label without a key, and one of a key that is none.
    given = pd.DataFrame({"id": ["1000", "1000", "1001", None, "A7", "1002"], "y": [0, 0, None, 1, 1, 1]})
    given.to_csv(tmp_path / "given.csv", index=False)

    result = record_label_file(context_of(loop), str(tmp_path / "given.csv"), origin="file", now=LATER)

    assert (result.recorded.added, result.recorded.unchanged, result.unlabelled, result.aside.count) == (2, 1, 1, 2)
    assert result.aside.read == result.recorded.read + result.unlabelled + result.aside.count
    assert [(one.row, one.reason) for one in result.aside.rows] == [
        ("row 4", "id: the label has no key"),
        ("row 5", "id: 'A7' is no whole number"),
    ]


def test_a_key_of_another_kind_than_the_data_has_deletes_nothing(members: Loop) -> None:
    for value in ("01000", "A7", "", "1000.5"):
        with pytest.raises(DataError, match="is no whole number, as the keys of sales are; write the key as the data"):
            require_readable(members.spec, members.workspace, {"id": value})
    for value in ("1000", " 1000 ", "1000.0"):
        require_readable(members.spec, members.workspace, {"id": value})


def test_rows_read_are_rows_predicted_known_and_set_aside() -> None:
    window, aside = Window(until=LATER), RowsSetAside(read=40, count=3)
    assert ScoringResult.of(window, 1, 30, aside).known == 7


def test_labels_of_a_request_that_contradict_each_other_are_refused(members: Loop) -> None:
    servable, known_at = servable_of(members), "2024-01-20T00:00:00Z"

    def asked(*labels_of_keys: tuple[int, bool], **more: str) -> list[bool]:
        entries = [{"key": key, "label": value} | more for key, value in labels_of_keys]
        return list(read_labels({"labels": entries}, servable, LATER, "client")["_label"])

    for more in ({}, {"label_time": known_at}):
        assert len(asked((1000, True), (1001, False), (1000, True), **more)) == 3
        with pytest.raises(InputError, match=r"row 2: expected one label for a key and time.* got False"):
            asked((1000, True), (1001, False), (1000, False), **more)
    # A later label corrects an earlier one.
    corrected = [{"key": 1000, "label": True, "label_time": known_at}, {"key": 1000, "label": False}]
    assert len(read_labels({"labels": corrected}, servable, LATER, "client")) == 2
