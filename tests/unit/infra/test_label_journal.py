"""Labels of requests are kept at once, told apart from those that are known, and recorded exactly once."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from everfit.blocks.errors import DataError, WorkspaceError
from everfit.infra.serving.label_journal import LabelJournal
from everfit.infra.serving.spool import SpoolError
from everfit.tasks.predictions import label_recording, labels
from everfit.tasks.predictions.label_recording import RecordedLabels
from everfit.tasks.storage.tables import Table

DAY = pd.Timestamp("2024-01-01", tz="UTC")


def rows(*keys: int, label: float = 1, day: int = 0, task: Any = "binary") -> pd.DataFrame:
    at = pd.Series([DAY + pd.Timedelta(days=day)] * len(keys))
    return labels.label_rows(keys, pd.Series([label] * len(keys)), at, task, "test")


def journal(folder: Path, table: Table, **given: Any) -> LabelJournal:
    return LabelJournal(folder / "labels", table, **{"sync": False, "every_s": 5.0, "most_days": 9, **given})


def history(table: Table) -> list[tuple[int, str, int]]:
    """Return key, label and revision of each row."""
    frame = pd.concat(table.batches(None, "_label_time", ["_key", "_label", "_revision"]), ignore_index=True)
    return sorted(frame.itertuples(index=False, name=None), key=lambda row: (row[0], row[2], row[1]))


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(str(tmp_path / "workspace" / "labels"))


@pytest.mark.slow
def test_many_requests_are_answered_at_once_and_make_one_commit(tmp_path: Path, table: Table) -> None:
    kept = journal(tmp_path, table)
    kept.keep([rows(0)])
    kept.drain.drain()
    before = table.version()

    for key in range(1, 30):
        assert kept.keep([rows(key)]) == [RecordedLabels(read=1, added=1)]
    assert table.version() == before
    assert kept.drain.drain() == 29

    assert table.version() == before + 1
    assert len(history(table)) == 30


@pytest.mark.slow
@pytest.mark.parametrize("drained", [False, True])
def test_a_request_is_told_what_is_known_whether_the_table_has_it_or_the_spool(
    tmp_path: Path, table: Table, drained: bool
) -> None:
    kept = journal(tmp_path, table)
    told = []
    for label, day in ((1, 1), (1, 1), (0, 1), (0, 2), (1, 0), (1, 3)):
        told += kept.keep([rows(7, label=label, day=day)])
        if drained:
            kept.drain.drain()

    kinds = ["added", "unchanged", "corrected", "unchanged", "older", "corrected"]
    assert told == [RecordedLabels(**{"read": 1, kind: 1}) for kind in kinds]
    kept.drain.drain()
    assert labels.known_at(table, (DAY + pd.Timedelta(days=1)).to_pydatetime())["_label"].tolist() == ["0"]
    assert labels.known_at(table, (DAY + pd.Timedelta(days=9)).to_pydatetime())["_label"].tolist() == ["1"]


@pytest.mark.slow
def test_the_labels_of_one_commit_are_recorded_as_if_each_had_come_alone(tmp_path: Path, table: Table) -> None:
    kept, alone = journal(tmp_path, table), Table(f"{table.uri}-alone")
    for label, day in ((1, 1), (1, 1), (0, 1), (0, 1), (1, 1), (0, 0), (0, 2)):
        kept.keep([rows(7, label=label, day=day)])
        label_recording.record_labels(alone, rows(7, label=label, day=day))

    kept.drain.drain()

    assert history(table) == history(alone)


def test_a_process_that_dies_between_the_commit_and_the_deletion_doubles_nothing(
    tmp_path: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = journal(tmp_path, table)
    for label in (1, 0, 1):
        kept.keep([rows(7, label=label)])
    monkeypatch.setattr(kept.spool, "discard", lambda _: None)
    kept.drain.drain()
    kept.spool.close()
    label_recording.record_labels(table, rows(7, label=0))  # somebody corrects it meanwhile
    before = history(table)

    assert journal(tmp_path, table).drain.drain() == 0

    assert history(table) == before == [(7, "1", 0), (7, "0", 1), (7, "1", 2), (7, "0", 3)]


def test_labels_that_change_nothing_are_not_taken_for_new_ones_after_a_death(
    tmp_path: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_recording.record_labels(table, rows(7, label=1))
    kept = journal(tmp_path, table)
    kept.keep([rows(7, label=1)])
    monkeypatch.setattr(kept.spool, "discard", lambda _: None)
    kept.drain.drain()
    kept.spool.close()
    label_recording.record_labels(table, rows(7, label=0))

    journal(tmp_path, table).drain.drain()

    assert history(table) == [(7, "1", 0), (7, "0", 1)]


def test_a_copy_that_was_made_halfway_hides_no_label_of_the_original(tmp_path: Path, table: Table) -> None:
    kept = journal(tmp_path, table)
    for label in (1, 0):
        kept.keep([rows(7, label=label), rows(8, label=label)])
    shutil.copytree(tmp_path / "labels", tmp_path / "copy" / "labels")
    kept.keep([rows(7, label=1)])
    kept.keep([rows(9)])

    journal(tmp_path / "copy", table).drain.drain()
    assert len(history(table)) == 4
    kept.drain.drain()

    assert history(table) == [(7, "1", 0), (7, "0", 1), (7, "1", 2), (8, "1", 0), (8, "0", 1), (9, "1", 0)]


def test_a_segment_has_no_more_days_than_a_request_may_have(tmp_path: Path, table: Table) -> None:
    kept = journal(tmp_path, table, most_days=3)
    for day in range(7):
        kept.keep([rows(day, day=day)])
    kept.spool.seal()

    assert [kept.spool.read(number).rows for number in kept.spool.sealed()] == [3, 3, 1]


def test_labels_of_another_type_than_the_tables_are_refused(tmp_path: Path, table: Table) -> None:
    label_recording.record_labels(table, rows(1))

    with pytest.raises(DataError, match="the labels of this model are classes, and the new ones numbers"):
        journal(tmp_path, table).keep([rows(2, label=0.5, task="regression")])


def test_labels_are_refused_and_not_kept_while_the_table_is_not_there_to_compare_with(
    tmp_path: Path, table: Table
) -> None:
    def check() -> None:
        raise OSError(f"{table.uri} is gone")

    kept = journal(tmp_path, table, check_store=check)

    with pytest.raises(WorkspaceError, match=r"can't be taken now \(OSError\); send them again") as raised:
        kept.keep([rows(1)])
    assert table.uri not in str(raised.value)
    assert kept.spool.open_rows == 0


def test_labels_wait_while_the_table_can_not_be_written_and_arrive_later(
    tmp_path: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, append = journal(tmp_path, table), Table.append

    def fail(*_: Any, **__: Any) -> int:
        raise WorkspaceError("the disk is full")

    monkeypatch.setattr(Table, "append", fail)
    kept.keep([rows(1)])
    assert (kept.drain.drain(), kept.drain.state.failures) == (0, 1)
    assert kept.keep([rows(1), rows(2)])[0].unchanged == 1
    monkeypatch.setattr(Table, "append", append)

    kept.drain.drain()

    assert history(table) == [(1, "1", 0), (2, "1", 0)]
    assert kept.spool.held_bytes == 0


def test_labels_that_can_not_be_written_to_the_disk_are_refused(
    tmp_path: Path, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = journal(tmp_path, table)

    def fail(_: int, __: Sequence[int]) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("everfit.infra.serving.spool.os.write", fail)
    with pytest.raises(SpoolError):
        kept.keep([rows(1)])
    monkeypatch.undo()

    assert kept.keep([rows(1)]) == [RecordedLabels(read=1, added=1)]
