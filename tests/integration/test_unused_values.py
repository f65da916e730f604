"""The columns that a model does not read are looked up in the source for the rows that it answered."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.signals.unused_values import unused_values
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.storage.tables import KEY
from everfit.tasks.turns.context import Context

WINDOW = Window(since=datetime(2025, 1, 1, tzinfo=UTC), until=datetime(2025, 1, 8, tzinfo=UTC))


@pytest.fixture
def monitored(workspace: Path) -> Any:
    days = pd.date_range("2025-01-01", periods=4)
    source = pd.DataFrame({"id": [1, 2, 3, 4], "day": days, "size": 1.5, "rating": [7, 8, 9, 10], "paid": 0, "new": 5})
    source.to_csv("loans.csv", index=False)
    roles = {"key": ["id"], "event_time": "day", "target": "paid", "features": ["size"], "ignore": ["rating"]}
    spec = {"name": "loans", "task": "binary", "source": {"kind": "files", "path": "loans.csv"}, "columns": roles}
    context = Context(ModelSpec.model_validate(spec), Settings())
    return SimpleNamespace(context=context, features=["size"], texts=[])


def answered(*ids: int) -> pd.DataFrame:
    rows = pd.DataFrame({"id": list(ids), "size": 1.5})
    return rows.assign(**{KEY: row_keys(rows, ["id"])})


def test_ignored_and_newly_arrived_columns_come_by_the_key(monitored: Any) -> None:
    found = unused_values(monitored, WINDOW, answered(3, 9, 1))
    assert list(found) == ["rating", "new"]
    assert found["rating"].fillna(0).tolist() == [9, 0, 7]


def test_a_source_that_cannot_be_read_ends_no_look(monitored: Any) -> None:
    Path("loans.csv").unlink()
    assert list(unused_values(monitored, WINDOW, answered(3))) == []
