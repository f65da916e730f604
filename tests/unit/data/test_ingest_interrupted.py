"""Ingestion that is killed between two writes, or that runs in several processes at once, takes each row once."""

import json
import threading
from datetime import UTC, datetime

import pandas as pd
import pytest
from support.turns import Loop, sales, small_tables

from everfit.tasks.data import commit as accepting
from everfit.tasks.data.commit import commit_batch
from everfit.tasks.data.ingest import ingest
from everfit.tasks.data.validate import validate
from everfit.tasks.storage.tables import Table

FEBRUARY, MARCH, APRIL = (datetime(2024, month, 1, tzinfo=UTC) for month in (2, 3, 4))


class Died(BaseException):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("step", ["append 1", "append 2", "append 3", "supersede 1", "settle 1", "files"])
def test_killed_between_any_two_writes_and_run_again_all_is_as_if_undisturbed(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, step: str
):
    rows = sales(300)
    rows["price"] = rows["price"].astype(object)
    rows.loc[250, "price"] = "cheap"
    loop.write("a.csv", rows)
    loop.turn(FEBRUARY)
    rows.loc[10:20, "y"] = 4.0
    rows.loc[250, "price"] = 1.0
    more = sales(200, "2024-02-01", first=300)
    more["price"] = more["price"].astype(object)
    more.loc[7, "price"] = "dear"
    loop.write("a.csv", pd.concat([rows, more]))
    monkeypatch.setattr("everfit.tasks.sources.files.in_chunks", small_tables)
    monkeypatch.setattr("everfit.tasks.data.stager.rows_at_once", lambda columns: 100)
    name, _, number = step.partition(" ")
    left = [int(number or 1)]

    def dies(function):
        def wrapped(*arguments, **named):
            left[0] -= 1
            if left[0] == 0:
                raise Died
            return function(*arguments, **named)

        return wrapped

    with monkeypatch.context() as patch:
        if name in {"append", "supersede"}:
            patch.setattr(Table, name, dies(getattr(Table, name)))
        else:
            attribute = {"settle": "resolve_rows", "files": "_remember_files"}[name]
            patch.setattr(accepting, attribute, dies(getattr(accepting, attribute)))
        with pytest.raises(Died):
            loop.turn(MARCH)
    batch = ingest(loop.spec, MARCH, "turn-2024030100", loop.workspace)
    commit_batch(loop.spec, batch, validate(loop.spec, batch, loop.workspace), loop.workspace)

    assert sorted(loop.dataset()["id"]) == [number for number in range(500) if number != 307]
    assert loop.dataset()["y"].iloc[10:21].eq(4.0).all()
    found = loop.quarantine().sort_values("_turn")
    assert found["_reasons"].tolist() == ["price: 'cheap' is no number", "price: 'dear' is no number"]
    assert found["_resolution"].tolist() == ["accepted", None] or found["_resolution"].isna().tolist() == [False, True]


def test_a_turn_that_died_before_another_took_its_rows_takes_none_of_them_again(loop: Loop):
    loop.write("a.csv", sales(100))
    staged = ingest(loop.spec, FEBRUARY, "died", loop.workspace)
    checked = validate(loop.spec, staged, loop.workspace)
    loop.turn(FEBRUARY, "other")

    commit_batch(loop.spec, staged, checked, loop.workspace)

    assert list(loop.dataset()["id"]) == list(range(100))


@pytest.mark.slow
def test_processes_that_take_in_the_same_window_at_once_take_each_row_once(loop: Loop):
    loop.write("a.csv", sales(100))
    loop.turn(FEBRUARY)
    rows = sales(400, "2024-02-01", first=100)
    rows["price"] = rows["price"].astype(object)
    rows.loc[rows.index % 40 == 7, "price"] = "cheap"
    loop.write("b.csv", rows)
    ready, failures = threading.Barrier(3), []

    def run(name: str) -> None:
        try:
            batch = ingest(loop.spec, MARCH, name, loop.workspace)
            checked = validate(loop.spec, batch, loop.workspace)
            ready.wait(30)
            commit_batch(loop.spec, batch, checked, loop.workspace)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=run, args=(f"process-{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failures
    bad = set(rows["id"][rows["price"] == "cheap"])
    assert list(loop.dataset()["id"]) == [number for number in range(500) if number not in bad]
    assert sorted(json.loads(row)["id"] for row in loop.quarantine()["_row"]) == sorted(bad)
