"""LabelledPredictions go out to be labelled by hand, come back, count by their probability, and are learned from."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from everfit.blocks.errors import DataError
from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.tasks.batch import label_queue, manual_files
from everfit.tasks.core.records import Window
from everfit.tasks.data.commit import commit_batch
from everfit.tasks.data.ingest import ingest
from everfit.tasks.data.validate import validate
from everfit.tasks.predictions import label_files, label_recording, labels
from everfit.tasks.predictions.labelled_predictions import read_labelled_predictions
from everfit.tasks.statistics.profile import profile_frame
from everfit.tasks.storage.tables import row_keys
from everfit.tasks.turns.context import Context

UNTIL = datetime(2013, 10, 12, tzinfo=UTC)
CLASSES = ["0", "1"]


@pytest.fixture
def rows(made_up: Any) -> pd.DataFrame:
    return made_up(2000)


@pytest.fixture
def context(registry: Any, workspace: Path, rows: pd.DataFrame) -> Context:
    """A champion that has answered 2000 flights, and a source in which the first ten have come true."""
    registry.champion("delays", registry.add("delays", "first"))
    rows.to_parquet("answered.parquet")
    known = rows.assign(late=pd.array([1, 0] * 1000, dtype="Int64"))
    known.loc[10:, "late"] = pd.NA
    known.head(20).to_csv("flights.csv", index=False)
    spec = ModelSpec.model_validate(
        {
            "name": "delays",
            "task": "binary",
            "source": {"kind": "files", "path": "flights.csv"},
            "columns": {"key": ["flight"], "event_time": "departs", "target": "late"},
        }
    )
    made = Context(spec, Settings())
    manual_files.score_file(made, "answered.parquet")
    return made


def make(context: Context, count: int = 100, **given: Any) -> Any:
    given = {"since": datetime(2013, 10, 1, tzinfo=UTC), "version": 1, "profile": None, "classes": CLASSES} | given
    return label_queue.make_queue(context, given.pop("until", UNTIL), count, **given)


def test_a_queue_goes_out_as_csv_and_comes_back(context: Context, rows: pd.DataFrame, tmp_path: Path) -> None:
    # Winds have doubled since the training.
    before = rows.assign(wind=rows["wind"] / 2)
    profile = profile_frame(before, ["distance", "wind", "seats", "carrier", "freight"])
    queue, shown = make(context, profile=profile)
    again, _ = make(context, until=UNTIL + timedelta(days=1))

    assert len(queue.rows) == len(shown) == 100
    assert {row.reason for row in queue.rows} >= {"random", "uncertain", "drifted"}
    assert not {row.key for row in queue.rows} & {row.key for row in again.rows}  # nobody is asked twice
    assert not {name for name in shown if "predict" in name and name != "_prediction_id"}
    blown = {row.prediction_id for row in queue.rows if row.reason == "drifted"}
    wind = shown.set_index("_prediction_id")["wind"]
    assert wind[list(blown)].median() > wind.median()

    path = tmp_path / "queue.csv"
    label_files.write_file(shown, path, "csv", CLASSES, "late")
    filled = pd.read_csv(path, dtype=str, keep_default_na=False)
    filled["label"] = ["1", "0", "1.0", " 1 "] * 20 + [""] * 20
    twice = filled.head(2).assign(label=["0", "0"])  # two people, of one mind about the second row only
    pd.concat([filled, twice]).to_csv(path, index=False)

    now = datetime.now(UTC)
    result = label_queue.record_returned(context, label_files.read_file(path), now)

    assert (result.recorded.added, result.empty, len(result.conflicts)) == (79, 20, 1)
    assert result.conflicts[0].given == ("1", "0")
    repeated = label_queue.record_returned(context, label_files.read_file(path), now + timedelta(seconds=1))
    assert (repeated.recorded.added, repeated.recorded.unchanged) == (0, 79)
    filled["label"] = ["0"] * 100
    filled.to_csv(path, index=False)
    other = label_queue.record_returned(context, label_files.read_file(path), now + timedelta(seconds=2))
    assert {one.known for one in other.conflicts} == {f"1 (queue:{queue.id})"}

    table = context.workspace.table("delays", "labels")
    known = labels.known_at(table, now + timedelta(days=1)).set_index("_key")
    body = {row.key: row.inclusion for row in queue.rows}
    assert known["_inclusion"].to_dict() == {key: body[key] for key in known.index}
    answers = read_labelled_predictions(
        context.workspace.table("delays", "predictions"),
        table,
        Window(until=UNTIL),
        "departs",
        now + timedelta(days=1),
        task="binary",
        classes=CLASSES,
        version=1,
    ).with_labels()
    assert answers.inclusion is not None
    # Weighted they speak for all rows that could have been picked, but for those nobody labelled.
    assert (1 / answers.inclusion).sum() == pytest.approx(queue.candidates, rel=0.4)


def test_label_studio_tasks_go_out_and_its_exports_come_back(context: Context, tmp_path: Path) -> None:
    _, shown = make(context, 6)
    path = tmp_path / "tasks.json"
    written = label_files.write_file(shown, path, "label-studio", CLASSES, "late")

    assert [one.name for one in written] == ["tasks.json", "tasks.xml"]
    assert '<Choice value="1"/>' in written[1].read_text()
    tasks = json.loads(path.read_text())
    assert {"distance", "flight", "departs"} <= set(tasks[0]["data"]["row"])

    def annotated(*given: str, **more: Any) -> list[dict[str, Any]]:
        value = [{"from_name": "label", "type": "choices", "value": {"choices": [one]}} for one in given]
        return [{"result": [one], "was_cancelled": False, **more} for one in value]

    for task, annotations in zip(
        tasks,
        [
            annotated("1"),
            annotated("1", "1"),
            annotated("1", "0"),
            annotated("0", was_cancelled=True),
            [],
            [{"result": []}],
        ],
        strict=True,
    ):
        task["annotations"] = annotations
    path.write_text(json.dumps(tasks))
    result = label_queue.record_returned(context, label_files.read_file(path), datetime.now(UTC))
    assert (result.recorded.added, result.empty, [one.given for one in result.conflicts]) == (2, 3, [("1", "0")])

    path.write_text(json.dumps([{"prediction_id": tasks[3]["data"]["prediction_id"], "label": "0"}]))  # JSON_MIN
    assert label_queue.record_returned(context, label_files.read_file(path), datetime.now(UTC)).recorded.added == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("prediction_id,label\nnone,1\n", "is in no queue"),
        ("{id},label\n", "has no column 'prediction_id'"),
        ("prediction_id,label\n{id},maybe\n", "must be one of 0, 1"),
        ('[{"data": {}}]', "isn't an export of Label Studio"),
        ("", "isn't CSV"),
    ],
)
def test_a_file_that_is_wrong_changes_nothing(context: Context, tmp_path: Path, content: str, words: str) -> None:
    queue, _ = make(context, 5)
    path = tmp_path / "wrong"
    path.write_text(content.replace("{id}", queue.rows[0].prediction_id))

    with pytest.raises(DataError, match=words):
        label_queue.record_returned(context, label_files.read_file(path), datetime.now(UTC))
    assert not context.workspace.table("delays", "labels").exists()


def test_what_people_have_said_is_in_the_next_training_set(context: Context, rows: pd.DataFrame) -> None:
    def turn(name: str) -> Any:
        batch = ingest(context.spec, datetime.now(UTC), name, context.workspace)
        commit_batch(context.spec, batch, validate(context.spec, batch, context.workspace), context.workspace)
        return batch

    def dataset() -> pd.DataFrame:
        return context.workspace.table("delays", "dataset").read().set_index("flight").sort_index()

    assert turn("first").new == 20
    # Of the source's rows 12 to 14 are labelled by hand, and 1000 to 1002, which the source doesn't have.
    chosen = [12, 13, 14, 1000, 1001, 1002]
    keys = row_keys(rows.loc[chosen, ["flight"]], ["flight"])
    label_rows_ = labels.label_rows(
        keys,
        pd.Series(["1", "0"] * 3),
        pd.Series([pd.Timestamp(UNTIL)] * 6),
        "binary",
        "queue:q",
        inclusion=pd.Series([0.5] * 6),
    )
    label_recording.record_labels(context.workspace.table("delays", "labels"), label_rows_)
    before = dataset()
    batch = turn("second")

    assert (batch.new, batch.changed) == (3, 3)
    after = dataset()
    assert after.loc[chosen, "late"].tolist() == [1, 0] * 3
    assert after["late"].notna().sum() == before["late"].notna().sum() + 6
    assert np.isclose(after.loc[1000, "distance"], rows.loc[1000, "distance"])
    untouched = before.index.difference(chosen)
    pd.testing.assert_frame_equal(
        after.loc[untouched].drop(columns=["_turn"]), before.loc[untouched].drop(columns=["_turn"]), check_dtype=False
    )
    assert turn("third").fresh == 0  # and they stay,
    source = pd.read_csv("flights.csv", dtype=str, keep_default_na=False)
    pd.concat([source, source.tail(1).assign(flight="20")]).to_csv("flights.csv", index=False)
    batch = turn("fourth")  # though the source gives its rows again, which doesn't know of them
    assert (batch.read, batch.new, batch.changed) == (21, 1, 0)
    assert dataset().loc[chosen, "late"].tolist() == [1, 0] * 3
