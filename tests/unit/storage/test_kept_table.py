"""A table that its writer keeps open is as new as one that is opened, and never taken for another table."""

import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from everfit.tasks.storage.kept_table import KeptTable
from everfit.tasks.storage.table_reads import TableReads
from everfit.tasks.storage.tables import DAY, KEY, Table


def rows(*keys: int) -> pd.DataFrame:
    return pd.DataFrame({KEY: keys, DAY: pd.Timestamp("2024-01-01").date()})


@pytest.fixture
def table(tmp_path: Path) -> Table:
    made = replace(Table(str(tmp_path / "log")), kept=KeptTable())
    made.append(rows(1), "first")
    return made


def test_it_has_the_commits_of_others_without_being_opened_again(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = table.open_to_append()
    Table(table.uri).append(rows(2), "by another")
    monkeypatch.setattr(TableReads, "open", lambda *_: pytest.fail("it was opened again"))
    again = table.open_to_append()
    assert again is opened
    assert (again.version(), again.transaction_version("by another")) == (2, 1)


def test_an_append_sees_what_another_process_has_appended_by_that_name(table: Table) -> None:
    table.open_to_append()
    Table(table.uri).append(rows(2), "segment")
    table.append(rows(2), "segment")
    assert sorted(table.read()[KEY]) == [1, 2]


def test_another_table_in_its_place_is_opened(table: Table, tmp_path: Path) -> None:
    assert table.open_to_append().version() == 1
    shutil.rmtree(table.uri)
    for number in range(3):
        Table(table.uri).append(rows(number), f"{number}")
    opened = table.open_to_append()
    assert (opened.version(), opened.transaction_version("first")) == (3, None)
    table.append(rows(7), "last")
    assert sorted(table.read()[KEY]) == [0, 1, 2, 7]
