"""LabelledPredictions go out to be labelled by hand, come back, count by their probability, and are learned from."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from everfit.blocks.errors import DataError, EverfitError
from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.deployments.cli.commands import app
from everfit.tasks.batch import label_answers, label_queue, label_requests, manual_files, returned_labels
from everfit.tasks.core.records import Window
from everfit.tasks.data.commit import commit_batch
from everfit.tasks.data.ingest import ingest
from everfit.tasks.data.validate import validate
from everfit.tasks.predictions import label_files, label_recording, labels
from everfit.tasks.predictions.label_files import GivenLabel
from everfit.tasks.predictions.labelled_predictions import read_labelled_predictions
from everfit.tasks.statistics.profile import profile_frame
from everfit.tasks.storage.row_hashes import row_keys
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
    until = given.pop("until", UNTIL)
    basis = label_queue.Basis(1, tuple(CLASSES), **given)
    return label_queue.make_queue(context, until, count, since=datetime(2013, 10, 1, tzinfo=UTC), basis=basis)


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
    result = returned_labels.record_returned(context, label_files.read_file(path), now)

    assert (result.recorded.added, result.empty, len(result.conflicts)) == (79, 20, 1)
    assert result.conflicts[0].given == ("1", "0")
    repeated = returned_labels.record_returned(context, label_files.read_file(path), now + timedelta(seconds=1))
    assert (repeated.recorded.added, repeated.recorded.unchanged) == (0, 79)
    filled["label"] = ["0"] * 100
    filled.to_csv(path, index=False)
    other = returned_labels.record_returned(context, label_files.read_file(path), now + timedelta(seconds=2))
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
    result = returned_labels.record_returned(context, label_files.read_file(path), datetime.now(UTC))
    assert (result.recorded.added, result.empty, [one.given for one in result.conflicts]) == (2, 3, [("1", "0")])

    path.write_text(json.dumps([{"prediction_id": tasks[3]["data"]["prediction_id"], "label": "0"}]))  # JSON_MIN
    assert returned_labels.record_returned(context, label_files.read_file(path), datetime.now(UTC)).recorded.added == 1


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
        returned_labels.record_returned(context, label_files.read_file(path), datetime.now(UTC))
    assert not context.workspace.table("delays", "labels").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--read", "a.csv", "--n", "5"], "--read picks nothing; remove --n"),
        (["--open", "--within", "0.01"], "--open picks nothing; remove --within"),
        (["--open", "--read", "a.csv"], "--open and --read are two commands"),
        (["--n", "5", "--within", "0.01"], "--within says how many rows are picked; remove --n"),
        (["--within", "0"], "is no half-width"),
    ],
)
def test_options_that_contradict_each_other_are_refused(given: list[str], words: str) -> None:
    result = CliRunner().invoke(app, ["label-queue", "delays", *given])
    assert isinstance(result.exception, EverfitError)
    assert words in str(result.exception)


def with_queue(context: Context, **policy: Any) -> Context:
    content = {**context.spec.content(), "monitoring": {"label_queue": policy}}
    return Context(ModelSpec.model_validate(content), context.settings)


def test_a_label_counts_when_two_people_agree(context: Context) -> None:
    both = with_queue(context, people=2)
    queue, _ = make(both, 4)
    ids = [row.prediction_id for row in queue.rows]
    now = datetime.now(UTC)

    def said(by: str, *given: str | None, after: int = 0) -> Any:
        rows = [GivenLabel(name, label) for name, label in zip(ids, given, strict=True)]
        return returned_labels.record_returned(both, rows, now + timedelta(seconds=after), by=by)

    first = said("ann", "1", "0", "1", None)
    assert (first.recorded.added, first.waiting, first.conflicts) == (0, 3, ())
    again = said("Ann", "1", "0", "1", None, after=1)
    assert (again.recorded.added, again.waiting) == (0, 3)  # one person is no two
    second = said("ben", "1", "1", None, "0", after=2)
    assert (second.recorded.added, second.waiting) == (1, 2)
    assert [(one.prediction_id, one.given, one.by) for one in second.conflicts] == [
        (ids[1], ("0", "1"), ("ann", "ben"))
    ]
    still = returned_labels.open_conflicts(both, now + timedelta(seconds=3))
    assert (still.conflicts, still.waiting) == (second.conflicts, 2)  # and they stay in sight
    third = said("eve", None, "1", "1", "0", after=3)
    assert (third.recorded.added, third.waiting, third.conflicts) == (3, 0, ())
    known = labels.known_at(both.workspace.table("delays", "labels"), now + timedelta(days=1)).set_index("_key")
    assert [known.loc[row.key, "_label"] for row in queue.rows] == ["1", "1", "1", "0"]

    with pytest.raises(DataError, match="--by NAME"):
        said("", "1", "1", "1", "1", after=4)
    assert label_answers.forget_answers(both.workspace, "delays", {queue.rows[0].key}) == 3
    assert ids[0] not in label_answers.read_opinions(both.workspace, "delays")
    assert len(label_answers.read_opinions(both.workspace, "delays")[ids[1]].by) == 3


def test_a_row_whose_label_came_from_elsewhere_waits_for_nobody(context: Context) -> None:
    both = with_queue(context, people=2)
    queue, _ = make(both, 3)
    now = datetime.now(UTC)
    rows = [GivenLabel(row.prediction_id, given) for row, given in zip(queue.rows, ("1", "0", "1"), strict=True)]
    returned_labels.record_returned(both, rows, now, by="ann")
    returned_labels.record_returned(both, [GivenLabel(queue.rows[1].prediction_id, "1")], now, by="ben")
    before = returned_labels.open_conflicts(both, now)
    assert (before.waiting, len(before.conflicts)) == (2, 1)

    keys = [row.key for row in queue.rows[:2]]
    came = labels.label_rows(keys, pd.Series(["1", "0"]), pd.Series([pd.Timestamp(now)] * 2), "binary", "source")
    label_recording.record_labels(both.workspace.table("delays", "labels"), came)

    after = returned_labels.open_conflicts(both, now)
    assert (after.waiting, after.conflicts) == (1, ())
    again = returned_labels.record_returned(both, rows[2:], now + timedelta(seconds=1), by="ann")
    assert (again.waiting, again.conflicts) == (1, ())


def test_the_file_shows_the_models_answer_where_the_spec_asks_for_it(context: Context, tmp_path: Path) -> None:
    queue, shown = make(with_queue(context, prelabels=True))
    blind = pd.Series([row.reason == "random" for row in queue.rows])

    assert 0 < blind.sum() < len(blind)
    assert (shown.loc[blind.to_numpy(), "_model_says"] == "").all()
    told = shown[~blind.to_numpy()]
    assert told["_model_says"].isin(["0", "1"]).all()
    assert told["_model_sure"].map(float).between(0.5, 1).all()

    path = tmp_path / "tasks.json"
    label_files.write_file(shown, path, "label-studio", CLASSES, "late")
    tasks = json.loads(path.read_text())
    assert [("predictions" in task) for task in tasks] == (~blind).tolist()
    first = next(task for task in tasks if "predictions" in task)
    assert first["predictions"][0]["result"][0]["value"]["choices"][0] in CLASSES
    assert not {"_model_says", "_model_sure"} & set(first["data"]["row"])
    label_files.write_file(shown, tmp_path / "rows.csv", "csv", CLASSES, "late")
    header = (tmp_path / "rows.csv").read_text().splitlines()[0]
    assert header.endswith(",model_says,model_sure,label")


def test_labels_that_a_diagnosis_doubts_are_asked_again_and_replaced(context: Context, rows: pd.DataFrame) -> None:
    keys = row_keys(rows[["flight"]], ["flight"])
    wrong, right = (int(keys[place]) for place in (20, 21))
    table = context.workspace.table("delays", "labels")
    recorded = labels.label_rows(
        [wrong, right], pd.Series(["1", "1"]), pd.Series([pd.Timestamp("2013-10-11", tz="UTC")] * 2), "binary", "source"
    )
    label_recording.record_labels(table, recorded)
    request = label_requests.LabelRequest(
        window=Window(until=UNTIL), version=1, unseen=False, suspects=(wrong,), contradicting=(wrong, right)
    )
    label_requests.keep_request(context.workspace, "delays", request)
    queue, _ = make(context, 10)

    doubted = {row.key: row for row in queue.rows if row.reason in label_requests.REVIEWED}
    assert {key: row.reason for key, row in doubted.items()} == {wrong: "suspect", right: "contradicting"}
    assert len(queue.rows) == 12  # beside the others
    again, _ = make(context, 10, until=UNTIL + timedelta(hours=1))
    assert not {row.key for row in again.rows} & {wrong, right}  # nobody is asked twice

    now = datetime.now(UTC)
    given = [GivenLabel(doubted[wrong].prediction_id, "0"), GivenLabel(doubted[right].prediction_id, "1")]
    result = returned_labels.record_returned(context, given, now)
    assert (result.replaced, result.confirmed, result.conflicts) == (1, 1, ())
    known = labels.known_at(table, now).set_index("_key")
    assert known.loc[[wrong, right], "_label"].tolist() == ["0", "1"]
    assert known.loc[[wrong, right], "_origin"].tolist() == [f"queue:replaced:{queue.id}", "source"]


def test_rows_never_seen_are_picked_where_a_diagnosis_blames_them(context: Context, rows: pd.DataFrame) -> None:
    features = ["distance", "wind", "seats", "carrier", "freight"]
    new = rows["carrier"].value_counts().index[-1]  # a carrier that the hold-out lacks
    known = rows[rows["carrier"] != new]
    given = {"profile": profile_frame(known, features), "holdout": known}
    plain, _ = make(context, 40, **given)
    request = label_requests.LabelRequest(window=Window(until=UNTIL), version=1, unseen=True)
    label_requests.keep_request(context.workspace, "delays", request)
    queue, shown = make(context, 40, until=UNTIL + timedelta(hours=1), **given)

    assert "unseen" not in {row.reason for row in plain.rows}
    picked = {row.prediction_id for row in queue.rows if row.reason == "unseen"}
    assert picked
    assert set(shown.set_index("_prediction_id").loc[list(picked), "carrier"]) == {new}
    label_requests.keep_request(context.workspace, "delays", request.model_copy(update={"unseen": False}))
    assert label_requests.read_requests(context.workspace, "delays") == []  # the cause is gone


def test_a_replaced_label_takes_the_place_of_the_sources_in_the_training_set(
    context: Context, rows: pd.DataFrame
) -> None:
    def turn(name: str) -> Any:
        batch = ingest(context.spec, datetime.now(UTC), name, context.workspace)
        commit_batch(context.spec, batch, validate(context.spec, batch, context.workspace), context.workspace)
        return context.workspace.table("delays", "dataset").read().set_index("flight").sort_index()["late"]

    before = turn("first")
    assert before[0] == 1  # the source's label of flight 0
    key = row_keys(rows.loc[[0], ["flight"]], ["flight"])
    replaced = labels.label_rows(key, pd.Series(["0"]), pd.Series([pd.Timestamp(UNTIL)]), "binary", "queue:replaced:q")
    label_recording.record_labels(context.workspace.table("delays", "labels"), replaced)

    after = turn("second")
    assert after[0] == 0
    assert after.drop(0).dropna().tolist() == before.drop(0).dropna().tolist()
    source = pd.read_csv("flights.csv", dtype=str, keep_default_na=False)
    source.assign(seats=source["seats"].astype(float) + 1).to_csv("flights.csv", index=False)
    assert turn("third")[0] == 0  # though the source gives its row again


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
