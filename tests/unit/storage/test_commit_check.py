"""What writes to a table beside everfit is found by its commits."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deltalake import write_deltalake

from everfit.tasks.storage.commit_check import check_commits
from everfit.tasks.storage.table_check import file_digests
from everfit.tasks.storage.tables import DAY, KEY, Table
from everfit.tasks.storage.workspace import Workspace


@pytest.fixture
def here(tmp_path: Path) -> Workspace:
    return Workspace(str(tmp_path))


@pytest.fixture
def table(tmp_path: Path) -> Table:
    table = Table(str(tmp_path / "labels"))
    for number in range(3):
        table.append(rows(number), f"labels-{number}")
    return table


def rows(number: int) -> pd.DataFrame:
    day = pd.Series(pd.to_datetime([f"2024-03-0{1 + number % 2}"] * 4)).dt.date
    return pd.DataFrame({KEY: np.arange(4) + 4 * number, DAY: day, "x": 1.0})


def commit(table: Table, version: int) -> Path:
    return Path(table.uri, "_delta_log", f"{version:020d}.json")


def test_all_that_everfit_does_with_a_table_fits(here: Workspace, table: Table) -> None:
    table.supersede(rows(1).assign(x=2.0), "changed")
    assert table.remove(f"{KEY} = 5") == 1
    assert table.compact() > 0
    table.open().create_checkpoint()

    assert check_commits(here, table, -1, ()) == []
    assert check_commits(here, Table(f"{table.uri}-that-is-not-there"), -1, ()) == []


def cut(table: Table) -> None:
    commit(table, 3).unlink()


def leave_out(table: Table) -> None:
    lines = commit(table, 3).read_text().splitlines()
    commit(table, 3).write_text("\n".join(line for line in lines if '"add"' not in line))


def compact_wrongly(table: Table) -> None:
    table.compact()
    path = commit(table, 4)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines = [line for line in lines if "add" not in line]
    path.write_text("\n".join(map(json.dumps, lines)))


@pytest.mark.parametrize(
    ("tamper", "says"),
    [
        (lambda table: table.open().delete("x = 1"), "(DELETE at "),
        (lambda table: table.open().update(new_values={"x": 3.0}, predicate=f"{KEY} = 2"), "was not made by everfit"),
        (lambda table: write_deltalake(table.open(), rows(7), mode="append"), "changed rows, and was not made by"),
        (compact_wrongly, "says that it changed no rows, and made 4 of 12"),
    ],
    ids=["delete", "update", "append", "compact"],
)
def test_a_write_beside_everfit_is_found(
    here: Workspace, table: Table, tamper: Callable[[Table], object], says: str
) -> None:
    tamper(table)

    (problem,) = check_commits(here, table, -1, ())
    assert problem.startswith("commit 4 of ")
    assert says in problem


@pytest.mark.parametrize(
    ("tamper", "says"),
    [(cut, "ends at version 2, and version 3 was recorded: it was cut"), (leave_out, "and no commit has removed it")],
)
def test_a_log_that_lost_what_was_recorded_is_found(
    here: Workspace, table: Table, tamper: Callable[[Table], object], says: str
) -> None:
    recorded = file_digests(here, table)
    tamper(table)

    (problem,) = check_commits(here, table, 3, recorded)
    assert says in problem


def test_a_table_that_is_gone_and_a_gap_are_found_and_what_a_person_has_recorded_is_not(
    here: Workspace, table: Table
) -> None:
    table.open().delete(f"{KEY} = 2")
    recorded = file_digests(here, table)
    assert check_commits(here, table, 4, recorded) == []

    table.open().create_checkpoint()
    commit(table, 0).unlink()
    commit(table, 2).unlink()
    assert any("commit 2 of " in problem and "is missing" in problem for problem in check_commits(here, table, -1, ()))
    (problem,) = check_commits(here, Table(f"{table.uri}-that-is-not-there"), 4, recorded)
    assert "is gone; 3 files of it were recorded" in problem
