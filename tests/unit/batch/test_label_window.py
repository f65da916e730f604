"""Which event times' labels are taken from a source: none that are needed is passed over."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.deliveries import SPEC, deliveries, write_month

from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.tasks.batch import label_collection
from everfit.tasks.batch.label_collection import label_window, record_source_labels
from everfit.tasks.core.records import Window
from everfit.tasks.predictions import label_recording, labels
from everfit.tasks.predictions.label_recording import RecordedLabels
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.storage.tables import KEY
from everfit.tasks.turns.context import Context

START, WEEK = datetime(2024, 3, 4, tzinfo=UTC), timedelta(days=7)


def week(number: int) -> Window:
    return Window(since=START + number * WEEK, until=START + (number + 1) * WEEK)


def rows(number: int) -> pd.DataFrame:
    return deliveries(f"{week(number).since:%Y-%m-%d}", 7, seed=number)


def known(number: int) -> int:
    """How many of a week's labels are known at its end."""
    return int((rows(number)["known_at"] <= week(number).until).sum())


@pytest.fixture
def context(workspace: Path) -> Context:
    source = SPEC["source"] | {"lookback": "1d"}  # type: ignore[operator]
    return Context(ModelSpec.model_validate(SPEC | {"source": source}), Settings())


def take(context: Context, number: int) -> int:
    """Look at a week.

    Returns:
        How many labels were added.
    """
    looked_at = week(number)
    return record_source_labels(context, label_window(context, looked_at.until, looked_at))[0].added


@pytest.mark.slow
def test_from_week_to_week_only_what_may_be_new_is_read(context: Context) -> None:
    for number in range(3):
        write_month(Path.cwd(), f"week-{number}", rows(number))
        assert take(context, number) > 200

    since = label_window(context, week(3).until, week(3)).since
    assert since is not None
    assert since > week(1).until


def test_a_week_that_is_looked_at_after_a_newer_one_gets_its_labels(context: Context) -> None:
    for number in (0, 2):
        write_month(Path.cwd(), f"week-{number}", rows(number))
        take(context, number)
    write_month(Path.cwd(), "week-1", rows(1))  # the source had it late

    since = label_window(context, week(1).until).since
    assert since is not None
    assert since <= week(1).since  # also where nobody says what is needed
    assert take(context, 1) == known(1)


@pytest.mark.slow
def test_a_week_of_which_some_labels_are_known_gets_the_others_too(context: Context) -> None:
    first = rows(1)
    for number, frame in ((0, rows(0)), (1, first[100:]), (2, rows(2))):
        write_month(Path.cwd(), f"week-{number}", frame)
        take(context, number)
    write_month(Path.cwd(), "week-1", first)

    assert take(context, 1) == 100


def test_labels_that_a_collection_left_out_when_it_broke_off_are_collected_by_the_next(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in ((0, "b"), (1, "a")):  # the newest labels come first
        write_month(Path.cwd(), name, rows(number))
    until, window = week(1).until, label_window(context, week(1).until)
    record, chunks = label_recording.record_requests, iter([1])

    def full_disk(*given: Any) -> list[RecordedLabels]:
        if next(chunks, None) is None:
            raise OSError("No space left on device")
        return record(*given)

    with monkeypatch.context() as patch:
        patch.setattr(label_recording, "record_requests", full_disk)
        patch.setattr(label_collection, "_ROWS_AT_ONCE", 1)  # each file's labels are written by themselves
        with pytest.raises(OSError, match="No space"):
            record_source_labels(context, window)
    added = record_source_labels(context, label_window(context, until))[0].added

    assert added == int((rows(0)["known_at"] <= until).sum())
    since = label_window(context, until).since
    assert since is not None
    assert since > week(0).until  # once it has ended, only what may be new is read again


@pytest.mark.slow
def test_labels_of_many_files_are_written_at_once_and_as_if_file_by_file(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = list(rows(0).groupby("sent_at", sort=True).ngroup() // 40)
    for number, (_, part) in enumerate(rows(0).groupby(days)):
        write_month(Path.cwd(), f"day-{number}", part)
    again = rows(0).head(50).assign(late=lambda frame: ~frame["late"])
    write_month(Path.cwd(), "day-late", again.assign(known_at=again["known_at"] + timedelta(hours=1)))
    table, until = context.workspace.table("deliveries", "labels"), week(1).until

    recorded, _ = record_source_labels(context, Window(until=until))
    at_once, version = table.read(), table.version()
    context.workspace.filesystem.rm(context.workspace.file("deliveries", "labels"), recursive=True)
    monkeypatch.setattr(label_collection, "_ROWS_AT_ONCE", 1)
    by_file, _ = record_source_labels(context, Window(until=until))

    assert recorded == by_file
    assert (recorded.added, recorded.corrected) == (280, 50)
    columns = [KEY, labels.LABEL_TIME, labels.LABEL, labels.REVISION]
    order = [KEY, labels.LABEL_TIME, labels.REVISION]
    pd.testing.assert_frame_equal(
        at_once[columns].sort_values(order, ignore_index=True),
        table.read()[columns].sort_values(order, ignore_index=True),
    )
    assert version < 3 < table.version()


def test_labels_given_by_hand_say_nothing_of_what_the_source_has(context: Context) -> None:
    write_month(Path.cwd(), "week-1", rows(1))
    by_hand = rows(1)[rows(1)["known_at"] <= week(1).until].tail(5).assign(id=range(5))
    keys, table = row_keys(by_hand, ["id"]), context.workspace.table("deliveries", "labels")
    label_recording.record_labels(
        table, labels.label_rows(keys, by_hand["late"], by_hand["known_at"], "binary", "a file")
    )

    assert take(context, 1) == known(1)
