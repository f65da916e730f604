"""Predictions go out to be labelled by hand, come back, and count by their probability."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.queued_labels import CLASSES, UNTIL, answered_flights, make, with_queue
from typer.testing import CliRunner

from everfit.blocks.errors import DataError, EverfitError
from everfit.deployments.cli.commands import app
from everfit.tasks.batch import label_requests, returned_labels
from everfit.tasks.core.records import Window
from everfit.tasks.predictions import label_files, label_recording, labels
from everfit.tasks.predictions.label_files import GivenLabel
from everfit.tasks.predictions.labelled_predictions import read_labelled_predictions
from everfit.tasks.statistics.profile import profile_frame
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.turns.context import Context


@pytest.fixture
def rows(made_up: Any) -> pd.DataFrame:
    return made_up(2000)


@pytest.fixture
def context(registry: Any, workspace: Path, rows: pd.DataFrame) -> Context:
    return answered_flights(registry, rows)


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


def test_of_very_many_answers_a_draw_is_picked_from_and_its_share_is_in_the_probability(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 2,000 answers about 500 may be held: the probability of each pick counts those that were not drawn."""
    monkeypatch.setattr("everfit.tasks.storage.table_parts.PART_ROWS", 300)
    whole, _ = make(context, until=UNTIL - timedelta(seconds=1))
    columns = len(context.workspace.table("delays", "predictions").columns())
    monkeypatch.setattr("everfit.tasks.predictions.key_draw.MOST", 500 * max(columns, 16) // 16)

    drawn, _ = make(context)

    assert len(drawn.rows) == len(whole.rows) == 100
    assert whole.candidates - 100 == pytest.approx(drawn.candidates, rel=0.15)
    assert all(row.inclusion <= 0.26 for row in drawn.rows)
    assert sum(1 / row.inclusion for row in drawn.rows) == pytest.approx(drawn.candidates, rel=0.35)


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
