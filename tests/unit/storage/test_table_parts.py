"""Parts of a table, which are read by themselves."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from everfit.tasks.core.records import Window
from everfit.tasks.storage.table_parts import table_parts
from everfit.tasks.storage.tables import DAY, KEY, Table


def hourly(folder: Path, days: int = 6) -> Table:
    """A table of an hour a row, with a file a day."""
    table = Table(str(folder / "table"))
    at = pd.date_range("2024-01-01", periods=24 * days, freq="h", tz="UTC").as_unit("us")
    table.append(pd.DataFrame({KEY: np.arange(len(at)), "at": at, DAY: at.date}), "all")
    return table


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_parts_have_each_row_of_a_window_once(tmp_path: Path, scheme: str) -> None:
    hourly(tmp_path)
    table = Table(scheme + str(tmp_path / "table"))
    window = Window(since=datetime(2024, 1, 3, 12, tzinfo=UTC), until=datetime(2024, 1, 5, 6, tzinfo=UTC))

    parts = table_parts(table, window, rows=50)
    found = [pd.concat(part.batches(table, window, "at", [KEY])) for part in parts]

    assert [part.rows for part in parts] == [48, 48]  # a day before, and the day of the end
    assert sorted(pd.concat(found)[KEY]) == list(range(60, 102))
    assert all(len(rows) for rows in found)


def test_a_part_is_read_as_it_was_when_the_table_grows(tmp_path: Path) -> None:
    table = hourly(tmp_path, days=1)
    [part] = table_parts(table)
    table.append(table.read().assign(**{KEY: -1}), "more")

    assert sorted(pd.concat(part.batches(table, None, None, [KEY]))[KEY]) == list(range(24))
    assert [one.rows for one in table_parts(table)] == [48]


def test_a_table_that_is_not_there_has_no_parts(tmp_path: Path) -> None:
    assert table_parts(Table(str(tmp_path / "none"))) == []
