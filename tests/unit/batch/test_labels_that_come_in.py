"""Labels are checked where they come in: classes, keys, contradictions, and numbers too large."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.turns import Loop
from support.ways_in import LATER, SPEC, UNTIL, context_of, servable_of, table_of, write

from everfit.blocks.errors import DataError, SourceError
from everfit.infra.serving.label_endpoint import read_labels
from everfit.tasks.batch.label_classes import RenamedClassError, given_labels, refuse_other_spelling
from everfit.tasks.batch.label_collection import record_source_labels
from everfit.tasks.batch.label_keys import repair_label_keys
from everfit.tasks.batch.manual_files import record_label_file
from everfit.tasks.core.records import Window
from everfit.tasks.models.input_column import InputError
from everfit.tasks.predictions import label_recording, labels, prediction_log
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.storage.tables import KEY


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
    with pytest.raises(SourceError, match=r"there is no file '.*none\.csv'; check its path"):
        record_label_file(context_of(loop), str(tmp_path / "none.csv"), origin="file", now=LATER)
    result = record_label_file(context_of(loop), str(tmp_path / "few.csv"), origin="file", now=LATER)
    assert (result.recorded.added, result.aside.count) == (57, 3)


def paid_or_late(folder: Path, **changes: Any) -> tuple[Loop, pd.DataFrame]:
    rows = table_of("numbers", ["price"], 60)
    rows["y"] = rows["y"].map({0: "Paid", 1: "Late"})
    loop = Loop(folder, **(SPEC | changes), source=write(folder / "data", "all", "csv", rows))
    loop.turn(UNTIL)
    return loop, rows


@pytest.mark.slow
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_labels_of_the_source_of_a_renamed_class_are_one_error(tmp_path: Path, task: str) -> None:
    """Given a source that shouts, when its labels are collected, then the old spelling alone is recorded."""
    loop, rows = paid_or_late(tmp_path, task=task)
    shouted = rows.assign(y=rows["y"].where(rows.index < 20, rows["y"].str.upper()))
    loop.changes["source"] = write(tmp_path / "data", "later", "csv", shouted)
    context = context_of(loop)

    said = "40 of 60 labels are of unknown classes, such as 'LATE', 'PAID'; the classes of sales are 'Late', 'Paid'"
    for _ in range(2):
        with pytest.raises(RenamedClassError, match=said):
            record_source_labels(context, Window(until=LATER))
        known = labels.known_at(loop.workspace.table("sales", "labels"), LATER)
        assert sorted(set(known[labels.LABEL])) == ["Late", "Paid"]
        assert len(known) == 20


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_one_renamed_class_of_the_source_is_an_error_though_most_labels_are_known(tmp_path: Path, task: str) -> None:
    """Given that only the rarer class is written otherwise, when labels are collected, then it is said."""
    loop, rows = paid_or_late(tmp_path, task=task)
    rows["y"] = np.where(np.arange(60) % 3 == 0, "Late", "Paid")
    rows.loc[20:, "y"] = rows.loc[20:, "y"].replace("Late", "late")
    loop.changes["source"] = write(tmp_path / "data", "later", "csv", rows)

    said = r"none of the last 41 labels is 'Late', and 13 of them are of unknown classes, such as 'late'"
    with pytest.raises(RenamedClassError, match=said):
        record_source_labels(context_of(loop), Window(until=LATER))

    known = labels.known_at(loop.workspace.table("sales", "labels"), LATER)
    assert sorted(set(known[labels.LABEL])) == ["Late", "Paid"]


def test_a_new_class_beside_a_rare_one_that_pauses_is_no_renamed_class() -> None:
    """Given a class of which few labels are expected, when none comes and another does, then nothing is said."""
    given = pd.Series(["Paid"] * 95 + ["Lost"] * 5)
    times = pd.Series(pd.date_range("2024-01-01", periods=100, freq="1h", tz="UTC"))

    classes = {"Late": 0.05, "Paid": 0.95}
    refuse_other_spelling(given_labels(given, given, classes, times), classes, "sales")
    classes = {"Late": 0.09, "Paid": 0.91}
    with pytest.raises(RenamedClassError, match="none of the last 100 labels is 'Late'"):
        refuse_other_spelling(given_labels(given, given, classes, times), classes, "sales")
    # One odd label does not take the place of a class that has really become rare.
    given.iloc[:] = ["Paid"] * 99 + ["Lost"]
    refuse_other_spelling(given_labels(given, given, classes, times), classes, "sales")


def test_a_few_labels_of_a_class_that_two_classes_lack_are_set_aside(tmp_path: Path) -> None:
    loop, rows = paid_or_late(tmp_path)
    rows.loc[3, "y"] = "Lost"
    loop.changes["source"] = write(tmp_path / "data", "later", "csv", rows)

    recorded, aside = record_source_labels(context_of(loop), Window(until=LATER))

    assert (recorded.added, aside.count) == (59, 1)
    assert [one.model_dump() for one in aside.rows] == [
        {"row": "id=1003", "reason": "y: 'Lost' is no class of the model"}
    ]


def test_a_class_that_comes_up_among_several_is_recorded(tmp_path: Path) -> None:
    loop, rows = paid_or_late(tmp_path, task="multiclass")
    rows.loc[3:20, "y"] = "Lost"
    loop.changes["source"] = write(tmp_path / "data", "later", "csv", rows)

    recorded, aside = record_source_labels(context_of(loop), Window(until=LATER))

    assert (recorded.added, aside.count) == (60, 0)


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
