"""Partitions follow the amount of rows: a long span of few rows has few files, and the same rows."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable
from support.turns import Loop, sales

from everfit.blocks.errors import WorkspaceError
from everfit.blocks.upkeep import UpkeepPolicy
from everfit.tasks.core.records import Window
from everfit.tasks.retention.table_upkeep import delete_before, table_facts
from everfit.tasks.retention.upkeep_plan import Facts, plan_upkeep
from everfit.tasks.storage.periods import Period, first_day, fitting_period
from everfit.tasks.storage.table_files import files_of
from everfit.tasks.storage.tables import DAY, KEY, Table

END = datetime(2024, 3, 10, 12, tzinfo=UTC)
ROWS = 500


def rows_of(days: int = 450, rows: int = ROWS, seed: int = 0) -> pd.DataFrame:
    drawn = np.random.default_rng(seed).uniform(0, days, rows)
    at = (pd.Timestamp(END) - pd.to_timedelta(np.sort(drawn)[::-1], unit="D")).as_unit("us").floor("s")
    return pd.DataFrame({KEY: np.arange(rows), "at": at, DAY: at.date, "x": np.arange(rows) / 2})


def table_of(folder: Path, period: Period, rows: pd.DataFrame) -> Table:
    import pyarrow as pa

    table = Table(str(folder / period))
    table.create(pa.Table.from_pandas(rows, preserve_index=False).schema.remove_metadata(), period)
    table.append(rows, "rows")
    return table


def partitions(table: Table) -> set[date]:
    return {date.fromisoformat(str(partition[DAY])) for partition in table.open().partitions()}


def planned(table: Table) -> Period | None:
    """The period that an upkeep would give the partitions."""
    tables = (table_facts(table, "dataset", "at"),)
    facts = Facts(model="m", at=END, tables=tables, turns=(), versions=(), needed=frozenset())
    return plan_upkeep(facts, UpkeepPolicy()).tables[0].period


def random_windows(count: int) -> list[Window]:
    random = np.random.default_rng(1)
    spans = [sorted(random.uniform(0, 460, 2)) for _ in range(count)]
    windows = [Window(since=END - timedelta(days=old), until=END - timedelta(days=new)) for new, old in spans]
    edges = [datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 2, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)]
    return [*windows, *(Window(since=edge, until=edge + timedelta(days=31)) for edge in edges), Window(until=END)]


@pytest.mark.slow
@pytest.mark.parametrize("period", ["month", "year"])
def test_a_window_has_the_same_rows_whatever_a_partition_covers(period: Period, tmp_path: Path) -> None:
    rows = rows_of()
    by_day, longer = table_of(tmp_path, "day", rows), table_of(tmp_path, period, rows)
    assert partitions(longer) == {first_day(day, period) for day in partitions(by_day)}

    for window in random_windows(20):
        expected, found = (table.read(window, "at").drop(columns=DAY) for table in (by_day, longer))
        pd.testing.assert_frame_equal(found, expected)
        assert files_of(longer, longer.version(), window) or found.empty
    for before in (None, datetime(2023, 6, 1, tzinfo=UTC)):
        assert longer.newest("at", before) == by_day.newest("at", before)
    assert longer.oldest("at") == by_day.oldest("at")


@pytest.mark.slow
@pytest.mark.parametrize("period", ["month", "year"])
def test_partitions_of_days_become_longer_and_no_row_is_lost(period: Period, tmp_path: Path) -> None:
    rows = rows_of()
    table = table_of(tmp_path, "day", rows)
    windows = random_windows(5)
    before, version = [table.read(window, "at").drop(columns=DAY) for window in windows], table.version()

    assert table.lengthen(period) > 0
    assert partitions(table) == {first_day(day, period) for day in rows[DAY]}
    for window, expected in zip(windows, before, strict=True):
        pd.testing.assert_frame_equal(table.read(window, "at").drop(columns=DAY), expected)
        pd.testing.assert_frame_equal(table.read(window, "at", version=version).drop(columns=DAY), expected)
    later = rows_of(seed=1).assign(**{KEY: np.arange(ROWS, 2 * ROWS)})
    table.append(later, "later")
    assert partitions(table) == {first_day(day, period) for day in (*rows[DAY], *later[DAY])}


@pytest.mark.slow
def test_a_table_whose_lengthening_was_cut_off_has_all_rows_and_is_lengthened_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = table_of(tmp_path, "day", rows_of())
    windows = random_windows(5)
    before = [table.read(window, "at").drop(columns=DAY) for window in windows]

    def broken(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as failing:
        failing.setattr(DeltaTable, "update", broken)
        with pytest.raises(WorkspaceError, match="no space left"):
            table.lengthen("year")
    assert table.period() == "year"
    for window, expected in zip(windows, before, strict=True):
        pd.testing.assert_frame_equal(table.read(window, "at").drop(columns=DAY), expected)
    later = rows_of(seed=1).assign(**{KEY: np.arange(ROWS, 2 * ROWS)})
    table.append(later, "later")
    assert planned(table) == "month"
    table.lengthen("month")
    assert planned(table) is None
    assert table.period() == "year", "rows by the year are there already"
    for window in windows:
        inside = pd.concat([rows_of(), later])["at"].between(
            window.since or pd.Timestamp.min.tz_localize(UTC), window.until, "left"
        )
        assert len(table.read(window, "at")) == inside.sum()


def test_a_changed_row_replaces_the_old_one_in_another_partition(tmp_path: Path) -> None:
    table = table_of(tmp_path, "month", rows_of())
    old = table.read(Window(until=datetime(2023, 1, 1, tzinfo=UTC)), "at").iloc[:3]
    moved = old.assign(at=old["at"] + pd.Timedelta("400D"), x=-1.0, _old_day=old[DAY])
    table.supersede(moved.assign(**{DAY: moved["at"].dt.date}), "moved")

    found = table.read()
    assert len(found) == ROWS
    assert sorted(found.loc[found["x"] == -1, KEY]) == sorted(old[KEY])
    assert set(found.loc[found["x"] == -1, DAY]) == {first_day(day, "month") for day in moved["at"].dt.date}


@pytest.mark.parametrize(
    ("days", "rows_a_day", "period"),
    [(60, 1, "day"), (1_000, 5_000, "day"), (1_800, 11, "month"), (18_000, 1, "year"), (100_000, 1, "year")],
)
def test_the_period_follows_the_amount_of_rows(days: int, rows_a_day: int, period: Period) -> None:
    assert fitting_period(np.arange(days, dtype=np.int32), np.full(days, rows_a_day)) == period


def test_old_days_are_deleted_to_the_day_where_partitions_are_longer(tmp_path: Path) -> None:
    rows, cut = rows_of(), date(2023, 8, 17)
    table = table_of(tmp_path, "year", rows)
    old = int((rows["at"] < pd.Timestamp(cut, tz="UTC")).sum())
    facts = table_facts(table, "dataset", "at")
    assert sum(day.rows for day in facts.days) == ROWS
    assert sum(day.rows for day in facts.days if day.day < cut) == old

    assert delete_before(table, "dataset", cut, "at") == old
    assert table.oldest("at") >= datetime(2023, 8, 17, tzinfo=UTC)
    assert len(table.read()) == ROWS - old


def test_upkeep_lengthens_partitions_of_few_rows_and_then_plans_nothing(tmp_path: Path) -> None:
    table = table_of(tmp_path, "day", rows_of())
    assert planned(table) == "month"
    table.lengthen("month")
    assert planned(table) is None


@pytest.mark.slow
def test_ten_years_of_few_rows_are_taken_in_by_month_and_known_again(tmp_path: Path) -> None:
    loop = Loop(tmp_path, columns={"key": ["id", "at"], "event_time": "at", "target": "y"})
    frame = sales(900).assign(at=pd.date_range("2014-01-01", periods=900, freq="97h", tz="UTC"))
    loop.write("sales.csv", frame)
    loop.turn(datetime(2024, 6, 1, tzinfo=UTC))
    table = loop.workspace.table("sales", "dataset")
    assert table.period() == "month"
    assert len(partitions(table)) < 130

    again = frame.assign(y=[(y + 1) % 5 if number >= 890 else y for number, y in enumerate(frame["y"])])
    later = sales(5, first=900).assign(at=pd.date_range("2023-12-30", periods=5, freq="h", tz="UTC"))
    loop.write("sales.csv", pd.concat([again, later]))
    batch, _ = loop.turn(datetime(2024, 6, 2, tzinfo=UTC))
    read_again = int((frame["at"] >= frame["at"].max() - loop.spec.source.lookback).sum())
    changed = min(10, read_again)
    assert (batch.new, batch.changed, batch.duplicates) == (5, changed, read_again - changed)
    assert len(loop.dataset()) == 905
