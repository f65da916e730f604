"""Labels of requests that arrive together are committed together, and each is answered for itself."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from everfit.blocks.errors import DataError, WorkspaceError
from everfit.infra.serving.label_commits import LabelCommits
from everfit.tasks.predictions import label_recording, labels
from everfit.tasks.predictions.label_recording import RecordedLabels
from everfit.tasks.storage.tables import Table

DAY = pd.Timestamp("2024-01-01", tz="UTC")


def rows(*keys: int, label: int = 1, day: int = 0) -> pd.DataFrame:
    at = pd.Series([DAY + pd.Timedelta(days=day)] * len(keys))
    return labels.label_rows(keys, pd.Series([label] * len(keys)), at, "binary", "test")


class _Writer:
    """Writes into a table; the first write waits until all requests of the test have arrived."""

    def __init__(self, table: Table, error: Exception | None = None) -> None:
        self.table, self.error = table, error
        self.groups: list[list[list[int]]] = []
        self.arrived = threading.Event()

    def __call__(self, requests: Sequence[pd.DataFrame]) -> list[RecordedLabels]:
        assert self.arrived.wait(20)
        self.groups.append([one["_key"].tolist() for one in requests])
        if self.error is not None and any(13 in one["_key"].tolist() for one in requests):
            raise self.error
        return label_recording.record_requests(self.table, requests)

    def send(self, *requests: pd.DataFrame, most_days: int = 9) -> list[RecordedLabels | BaseException]:
        """Send requests at once."""

        async def send() -> list[RecordedLabels | BaseException]:
            commits = LabelCommits(self, most_days)
            sent = [asyncio.create_task(commits.add(one)) for one in requests]
            await asyncio.sleep(0)
            self.arrived.set()
            return await asyncio.gather(*sent, return_exceptions=True)

        return asyncio.run(send())


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(str(tmp_path / "labels"))


def test_requests_that_wait_are_one_commit_in_their_order(table: Table) -> None:
    writer = _Writer(table)

    answers = writer.send(rows(1), rows(2), rows(3, 4), rows(5))

    assert writer.groups == [[[1], [2], [3, 4], [5]]]
    assert [one.added for one in answers if isinstance(one, RecordedLabels)] == [1, 1, 2, 1]


def test_a_later_label_of_the_same_key_waits_for_the_earlier_one(table: Table) -> None:
    writer = _Writer(table)

    answers = writer.send(rows(1), rows(2), rows(1, label=0), rows(3))

    assert writer.groups == [[[1], [2]], [[1], [3]]]
    assert answers[2] == RecordedLabels(read=1, corrected=1)
    newest = labels.known_at(table, DAY.to_pydatetime()).set_index("_key").loc[1]
    assert (newest["_label"], newest["_revision"]) == ("0", 1)


def test_a_commit_has_no_more_days_than_a_request_may_have(table: Table) -> None:
    writer = _Writer(table)

    writer.send(rows(1, day=1), rows(2, day=2), rows(3, day=3), most_days=2)

    assert writer.groups == [[[1], [2]], [[3]]]


def test_an_error_of_one_request_is_not_said_to_the_others(table: Table) -> None:
    writer = _Writer(table, DataError("unfit"))

    answers = writer.send(rows(1), rows(13), rows(3))

    assert isinstance(answers[1], DataError)
    assert [answers[0], answers[2]] == [RecordedLabels(read=1, added=1)] * 2
    assert len(labels.known_at(table, DAY.to_pydatetime())) == 2


def test_a_store_that_fails_is_tried_once_for_all(table: Table) -> None:
    writer = _Writer(table, WorkspaceError("down"))

    answers = writer.send(rows(1), rows(13))

    assert [type(one) for one in answers] == [WorkspaceError, WorkspaceError]
    assert len(writer.groups) == 1
