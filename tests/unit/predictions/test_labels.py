"""Labels find their predictions whatever comes first; corrections supersede, and history stays."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.examples import examples

from everfit.blocks.errors import DataError
from everfit.tasks.predictions import label_recording, labels
from everfit.tasks.predictions.drawn_answers import unmatched
from everfit.tasks.predictions.label_index import LabelIndex
from everfit.tasks.predictions.label_recording import RecordedLabels
from everfit.tasks.storage.tables import Table


def at(day: int, hour: int = 0) -> datetime:
    return pd.Timestamp(2013, 10, day, hour, tz="UTC").to_pydatetime()


def rows(*told: tuple[int, object, datetime], task: str = "binary") -> pd.DataFrame:
    keys, values, times = zip(*told, strict=True)
    return labels.label_rows(keys, pd.Series(list(values)), pd.Series(list(times)), task, "test")  # type: ignore[arg-type]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(str(tmp_path / "labels"))


def known(table: Table, until: datetime) -> dict[int, object]:
    frame = labels.known_at(table, until)
    return dict(zip(frame["_key"], frame["_label"], strict=True))


def test_the_same_again_adds_nothing(table: Table) -> None:
    told = rows((1, 0, at(1)), (2, 1, at(1)))

    assert label_recording.record_labels(table, told) == RecordedLabels(read=2, added=2)
    assert label_recording.record_labels(table, told) == RecordedLabels(read=2, unchanged=2)
    assert label_recording.record_labels(table, rows((1, 0, at(5)))) == RecordedLabels(read=1, unchanged=1)
    assert len(table.read()) == 3  # the confirmation is kept


def test_a_correction_of_the_same_time_counts_from_then_on(table: Table) -> None:
    label_recording.record_labels(table, rows((1, 1, at(1))))
    assert label_recording.record_labels(table, rows((1, 0, at(1)))) == RecordedLabels(read=1, corrected=1)
    assert label_recording.record_labels(table, rows((1, 1, at(1)))) == RecordedLabels(read=1, corrected=1)

    assert known(table, at(1)) == {1: "1"}


def test_a_correction_supersedes_and_the_past_still_knows_what_it_knew(table: Table) -> None:
    label_recording.record_labels(table, rows((1, 0, at(1))))
    assert label_recording.record_labels(table, rows((1, 1, at(3)), (2, 1, at(3)))) == RecordedLabels(
        read=2, added=1, corrected=1
    )

    assert known(table, at(2)) == {1: "0"}
    assert known(table, at(3)) == {1: "1", 2: "1"}


def test_an_older_label_that_comes_late_does_not_supersede(table: Table) -> None:
    label_recording.record_labels(table, rows((1, 1, at(3))))
    assert label_recording.record_labels(table, rows((1, 0, at(1)))) == RecordedLabels(read=1, older=1)

    assert known(table, at(4)) == {1: "1"}
    assert known(table, at(2)) == {1: "0"}


def test_classes_are_told_as_predictions_tell_them(table: Table) -> None:
    label_recording.record_labels(table, rows((1, 1.0, at(1)), (2, 0.0, at(1)), (3, None, at(1))))
    assert known(table, at(2)) == {1: "1", 2: "0"}


def test_numbers_stay_numbers(table: Table) -> None:
    label_recording.record_labels(table, rows((1, 2, at(1)), (2, 0.5, at(1)), task="regression"))
    assert known(table, at(2)) == {1: 2.0, 2: 0.5}
    with pytest.raises(DataError, match="finite"):
        rows((1, float("inf"), at(1)), task="regression")


def test_a_label_needs_its_time() -> None:
    with pytest.raises(DataError, match="1 labels have no label time"):
        rows((1, 1, at(1)), (2, 0, pd.NaT))


def test_predictions_get_their_labels_and_others_stay_open(table: Table) -> None:
    label_recording.record_labels(table, rows((1, 1, at(2)), (9, 0, at(2))))
    predicted = pd.DataFrame({"_key": [1, 1, 2], "_score": [0.1, 0.2, 0.3]})

    joined = labels.labelled(predicted, labels.known_at(table, at(3)))

    assert joined["_score"].tolist() == [0.1, 0.2, 0.3]
    assert joined["_label"].fillna("open").tolist() == ["1", "1", "open"]


def test_before_the_first_label_all_predictions_are_open(table: Table) -> None:
    joined = labels.labelled(pd.DataFrame({"_key": [1, 2]}), labels.known_at(table, at(3)))
    assert joined["_label"].isna().all()


def test_labels_without_a_prediction_are_kept_and_counted(table: Table, tmp_path: Path) -> None:
    predicted = Table(str(tmp_path / "predictions"))
    label_recording.record_labels(table, rows((1, 1, at(2)), (9, 0, at(2))))
    assert unmatched(table, predicted, at(3)) == 2
    predicted.append(pd.DataFrame({"_key": [1], "_day": [at(1).date()]}), "one")
    assert unmatched(table, predicted, at(3)) == 1


@settings(max_examples=examples(6), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    told=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(1, 4)), min_size=2, max_size=6),
    data=st.data(),
)
def test_the_order_of_arrival_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    told = list({(key, day): (key, value, day) for key, value, day in told}.values())
    found = []
    for order in (told, data.draw(st.permutations(told))):
        table = Table(str(tmp_path_factory.mktemp("labels") / "labels"))
        counts = RecordedLabels()
        for key, value, day in order:
            counts += label_recording.record_labels(table, rows((key, value, at(day))))
        assert counts.read == counts.added + counts.corrected + counts.unchanged + counts.older == len(told)
        found.append([known(table, at(day)) for day in range(1, 5)])
    assert found[0] == found[1]


def test_of_two_writers_at_once_the_second_has_the_next_revision(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    label_recording.record_labels(table, rows((7, 1, at(1))))
    append, other = Table.append, []

    def slow(self: Table, *arguments: Any, **named: Any) -> int:
        """Between the first writer's look and its write another writer records a label of the same time."""
        if not other:
            other.append("begun")
            other.append(label_recording.record_labels(Table(table.uri), rows((1, 0, at(1)))))
        return append(self, *arguments, **named)

    monkeypatch.setattr(Table, "append", slow)
    first = label_recording.record_labels(table, rows((1, 1, at(1))))

    assert (first, other[1]) == (RecordedLabels(read=1, corrected=1), RecordedLabels(read=1, added=1))
    written = table.read()
    assert sorted(written.loc[written["_key"] == 1, ["_revision", "_label"]].to_numpy().tolist()) == [
        [0, "0"],
        [1, "1"],
    ]
    assert known(table, at(1))[1] == "1"


@pytest.mark.slow
def test_a_writer_reads_only_files_that_hold_its_keys(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    index, whole = LabelIndex(), []
    for key in range(5):
        label_recording.record_labels(table, rows((key, 0, at(1))), index=index)
    keys_of = LabelIndex._keys_of

    def counted(self: LabelIndex, path: str, fragment: Any) -> Any:
        if path not in self._keys:
            whole.append(path)
        return keys_of(self, path, fragment)

    monkeypatch.setattr(LabelIndex, "_keys_of", counted)
    again = label_recording.record_labels(table, rows((3, 1, at(2)), (9, 1, at(2))), index=index)

    assert again == RecordedLabels(read=2, added=1, corrected=1)
    assert len(whole) == 1  # the file that the last call wrote
    table.compact()
    assert label_recording.record_labels(table, rows((9, 0, at(3))), index=index).corrected == 1
    assert len(index._keys) == 2


def test_a_deleted_label_can_be_given_again(table: Table) -> None:
    label_recording.record_labels(table, rows((1, 1, at(1))))
    table.remove("_key = 1")

    assert label_recording.record_labels(table, rows((1, 1, at(1)))).added == 1
    assert known(table, at(1)) == {1: "1"}


def test_requests_of_one_commit_are_counted_as_if_each_had_come_alone(table: Table, tmp_path: Path) -> None:
    before = rows((1, 0, at(2)), (2, 1, at(2)))
    requests = [rows((1, 1, at(3)), (3, 1, at(3))), rows((2, 1, at(2))), rows((4, 0, at(1)), (4, 1, at(1)))]
    alone = Table(str(tmp_path / "alone"))
    label_recording.record_labels(table, before)
    label_recording.record_labels(alone, before)
    version = table.version()

    counts = label_recording.record_requests(table, requests)

    assert counts == [label_recording.record_labels(alone, one) for one in requests]
    assert table.version() == version + 1
    columns = ["_key", "_label_time", "_label", "_revision"]
    together, in_turn = (one.read()[columns].sort_values(columns, ignore_index=True) for one in (table, alone))
    pd.testing.assert_frame_equal(together, in_turn)
