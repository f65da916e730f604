"""Where batch scoring goes on: nothing is skipped, whatever was asked for before."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from everfit.tasks.batch.scored_spans import is_scored, merge_spans, next_window, read_spans, record_span
from everfit.tasks.core.records import Window
from everfit.tasks.storage.workspace import Workspace


def day(number: int) -> datetime:
    return datetime(2024, 3, number, tzinfo=UTC)


def span(since: int | None, until: int) -> Window:
    return Window(since=None if since is None else day(since), until=day(until))


@pytest.mark.parametrize(
    ("spans", "until", "since"),
    [
        ([], 9, None),
        ([span(None, 5)], 9, 3),
        ([span(4, 5)], 9, 4),  # not before what was asked for
        ([span(1, 5), span(7, 8)], 9, 3),  # the gap between them is filled
        ([span(1, 5), span(5, 8)], 9, 6),
        ([span(None, 9)], 9, 7),  # again
        ([span(None, 20)], 9, 7),  # a moment of the past
        ([span(15, 20)], 9, None),  # of which nothing was asked for then
    ],
)
def test_a_run_begins_where_the_first_span_ends_and_looks_back(
    spans: list[Window], until: int, since: int | None
) -> None:
    result = next_window(spans, day(until), timedelta(days=2))

    assert result == Window(since=None if since is None else day(since), until=day(until))


def test_without_a_look_back_a_run_again_is_no_empty_window() -> None:
    assert next_window([span(None, 9)], day(9), timedelta(0)).since == day(9) - timedelta(microseconds=1)


def test_spans_that_touch_are_one() -> None:
    assert merge_spans([span(6, 8), span(None, 2), span(2, 3), span(7, 9)]) == [span(None, 3), span(6, 9)]


def test_what_was_gone_through_is_kept_in_one_file_as_it_grows(tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path))
    assert read_spans(workspace, "m") == []
    for window in (span(1, 2), span(2, 3), span(1, 3), span(2, 5), span(8, 9)):
        record_span(workspace, "m", window)

    assert read_spans(workspace, "m") == [span(1, 5), span(8, 9)]
    assert [is_scored(read_spans(workspace, "m"), window) for window in (span(2, 4), span(4, 6), span(None, 2))] == [
        True,
        False,
        False,
    ]
    assert len(list((tmp_path / "m" / "scored").iterdir())) == 2
    record_span(workspace, "m", span(None, 8))
    assert read_spans(workspace, "m") == [span(None, 9)]
