"""Data in: every row exactly once, whatever comes late, twice, changed or broken, and whoever dies when."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from support.turns import Loop, sales, small_tables

from everfit.blocks.errors import DataError, SourceError

FEBRUARY, MARCH, APRIL = (datetime(2024, month, 1, tzinfo=UTC) for month in (2, 3, 4))


@pytest.mark.slow
def test_a_file_that_grows_gives_its_new_rows_once(loop: Loop):
    loop.write("sales.csv", sales(500))
    first, _ = loop.turn(FEBRUARY)
    loop.write("sales.csv", sales(1000))
    second, _ = loop.turn(MARCH)
    third, _ = loop.turn(MARCH, "again")

    assert (first.read, first.new) == (500, 500)
    assert (second.new, second.changed) == (500, 0)
    assert third.read == 0  # the file is as it was
    assert list(loop.dataset()["id"]) == list(range(1000))


@pytest.mark.slow
def test_rows_after_until_wait_for_a_later_turn(loop: Loop):
    loop.write("sales.parquet", sales(24 * 60))

    assert loop.turn(FEBRUARY)[0].new == 31 * 24
    assert loop.turn(MARCH)[0].new == 29 * 24
    assert len(loop.dataset()) == 24 * 60


def test_a_file_that_comes_late_is_read_from_its_beginning(loop: Loop):
    loop.write("b.csv", sales(100, "2024-01-20", first=1000))
    loop.turn(FEBRUARY)
    loop.write("a.csv", sales(100, "2023-06-01"))  # long before the look-back

    batch, _ = loop.turn(MARCH)

    assert batch.new == 100
    assert loop.count("dataset") == 200


def test_a_label_that_comes_later_takes_the_place_of_the_row_without_it(loop: Loop):
    rows = sales(100)
    rows.loc[50:, "y"] = None
    loop.write("sales.csv", rows)
    loop.turn(FEBRUARY)
    assert loop.dataset()["y"].isna().sum() == 50
    loop.write("sales.csv", sales(100))

    batch, _ = loop.turn(MARCH)

    assert (batch.new, batch.changed, batch.duplicates) == (0, 50, 50)
    assert loop.dataset()["y"].notna().all()
    assert len(loop.workspace.table("sales", "dataset").read(version=1)) == 100  # the past stays what it was


def test_a_row_whose_day_moves_is_one_row_still(loop: Loop):
    rows = sales(100)
    loop.write("sales.csv", rows)
    loop.turn(FEBRUARY)
    rows.loc[3, "at"] = pd.Timestamp("2024-01-25", tz="UTC")
    loop.write("sales.csv", rows)

    batch, _ = loop.turn(MARCH)

    assert (batch.new, batch.changed) == (0, 1)
    dataset = loop.dataset()
    assert len(dataset) == 100
    assert str(dataset.loc[3, "_day"]) == "2024-01-25"


def test_equal_rows_are_one_and_rows_that_contradict_each_other_go_to_quarantine(loop: Loop):
    rows = sales(100)
    other = rows.iloc[[7]].assign(y=99.0)
    loop.write("sales.csv", pd.concat([rows, rows.iloc[:5], other]))

    batch, validation = loop.turn(FEBRUARY)

    assert (batch.new, batch.duplicates, batch.conflicts) == (101, 5, 2)
    assert (validation.bad_rows, validation.passed) == (2, True)
    assert 7 not in set(loop.dataset()["id"])
    assert loop.quarantine()["_reasons"].str.contains("the key names one row").all()


@pytest.mark.slow
def test_of_two_files_the_later_one_counts_together_or_one_by_one(tmp_path: Path):
    together, apart = Loop(tmp_path / "together"), Loop(tmp_path / "apart")
    old, new = sales(50), sales(50).assign(y=3.5)
    for loop in (together, apart):
        loop.folder.mkdir()
        loop.write("1.csv", old)
    together.write("2.csv", new)
    together.turn(FEBRUARY)
    apart.turn(FEBRUARY)
    apart.write("2.csv", new)
    apart.turn(MARCH)

    assert (together.dataset()["y"] == 3.5).all()
    assert (apart.dataset()["y"] == 3.5).all()
    assert together.count("quarantine") == apart.count("quarantine") == 0


def test_bad_rows_are_quarantined_once(loop: Loop):
    rows = sales(100)
    rows["at"] = rows["at"].astype(str)
    rows.loc[4, "at"] = "soon"
    rows.loc[5, "at"] = None
    rows.loc[6, "at"] = "9999-12-31"
    loop.write("sales.csv", rows)
    loop.turn(FEBRUARY)
    rows.loc[60, "y"] = 77.0  # so that the file is read again
    loop.write("sales.csv", rows)

    batch, validation = loop.turn(MARCH)

    assert (batch.changed, validation.bad_rows) == (1, 0)
    reasons = sorted(loop.quarantine()["_reasons"])
    assert reasons == [
        "at: 'soon' is not a time",
        "at: the row has no event time",
        "at: the row has no event time, since '9999-12-31' says that it is not known",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("together", "columns"), [(100, 40), (200, 40), (1_000, 2)])
def test_what_needs_whole_columns_is_asked_of_all_parts_and_blames_the_right_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: int, columns: int
):
    """Whether each part is checked by itself, two parts at once, or all of them by a few columns at a time."""
    monkeypatch.setattr("everfit.tasks.data.part_checks.rows_at_once", lambda columns: together)
    monkeypatch.setattr("everfit.tasks.data.expectation_runner.COLUMNS_AT_ONCE", columns)
    monkeypatch.setattr("everfit.tasks.sources.files.in_chunks", small_tables)
    monkeypatch.setattr("everfit.tasks.data.stager.rows_at_once", lambda columns: 100)
    suite = [
        {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "code"}},
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "price", "max_value": 100}},
        {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "y", "min_value": 1, "max_value": 3}},
    ]
    loop = Loop(tmp_path, expectations={"suite": suite})
    rows = sales(350).assign(code=range(350))
    rows.loc[330, "code"] = 12  # of another part
    rows["price"] = rows["price"].astype(object)
    rows.loc[[0, 310], "price"] = 1_000.0
    rows.loc[305, "price"] = "dear"  # a row that is not asked about shifts those behind it
    loop.write("a.csv", rows)

    batch, validation = loop.turn(FEBRUARY)

    assert batch.sizes == (100, 100, 100, 50)
    assert [outcome.passed for outcome in validation.outcomes[-3:]] == [False, False, True]
    found = loop.quarantine()
    by_row = {
        json.loads(row)["id"]: why.split("(")[0] for row, why in zip(found["_row"], found["_reasons"], strict=True)
    }
    unique, between = (each["type"] for each in suite[:2])
    assert by_row == {12: unique, 330: unique, 0: between, 310: between, 305: "price: 'dear' is no number"}


def test_a_refused_batch_is_checked_again_and_settled_when_it_is_good(tmp_path: Path):
    bounds = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "price", "max_value": 100}}
    strict = Loop(tmp_path, expectations={"suite": [bounds]})
    rows = sales(100)
    rows.loc[:30, "price"] = 1000.0
    strict.write("sales.csv", rows)
    _, refused = strict.turn(FEBRUARY)
    assert not refused.passed
    assert strict.count("dataset") == 0
    assert "31 of 100 rows are bad, more than the 5% allowed" in refused.reasons[0]

    mended = Loop(tmp_path, expectations={"suite": [{**bounds, "kwargs": {"column": "price", "max_value": 2000}}]})
    batch, validation = mended.turn(MARCH)

    assert (batch.new, validation.accepted) == (100, 100)
    assert set(mended.quarantine()["_resolution"]) == {"accepted"}
    assert set(mended.quarantine()["_resolved_by"]) == {"turn-2024030100"}


def test_a_row_that_was_mended_in_the_source_settles_the_bad_one(loop: Loop):
    rows = sales(100)
    rows["price"] = rows["price"].astype(object)
    rows.loc[3, "price"] = "cheap"
    loop.write("sales.csv", rows)
    loop.turn(FEBRUARY)
    assert loop.quarantine()["_reasons"].tolist() == ["price: 'cheap' is no number"]
    rows.loc[3, "price"] = 2.0
    loop.write("sales.csv", rows)

    loop.turn(MARCH)

    assert loop.count("dataset") == 100
    assert loop.quarantine()["_resolution"].tolist() == ["accepted"]


@pytest.mark.slow
def test_a_column_that_is_missing_or_retyped_fails_the_batch_by_name(loop: Loop):
    loop.write("a.csv", sales(100))
    loop.turn(FEBRUARY)
    loop.write("b.csv", sales(100, "2024-02-01", first=100).drop(columns="price").assign(shop="north"))
    _, missing = loop.turn(MARCH)
    (loop.folder / "data" / "b.csv").unlink()
    loop.write("c.csv", sales(100, "2024-02-01", first=100).assign(price="much"))
    _, retyped = loop.turn(APRIL)

    assert missing.reasons == (
        "column 'price' exists: expected number",
        "if 'price' will not come again, name it under columns.ignore in the spec, and train again",
    )
    assert not retyped.passed
    assert loop.quarantine()["_reasons"].iloc[-1] == "price: 'much' is no number"
    assert loop.count("dataset") == 100


@pytest.mark.slow
def test_a_column_that_is_gone_for_good_comes_in_by_the_way_that_the_refusal_names(tmp_path: Path):
    columns = {"key": ["id"], "event_time": "at", "target": "y", "features": ["price", "shop"]}
    loop = Loop(tmp_path, columns=columns)
    loop.write("a.csv", sales(100))
    loop.turn(FEBRUARY)
    loop.write("b.csv", sales(100, "2024-02-01", first=100).drop(columns="price"))
    _, refused = loop.turn(MARCH)
    assert refused.reasons[-1] == (
        "if 'price' will not come again, name it under columns.ignore in the spec in place of columns.features, "
        "and train again"
    )

    loop.changes["columns"] = columns | {"features": ["shop"], "ignore": ["price"]}
    _, taken = loop.turn(APRIL)

    assert taken.passed
    assert loop.count("dataset") == 200


@pytest.mark.slow
def test_a_new_column_is_told_of_and_ignored_until_the_spec_names_it(tmp_path: Path):
    loop = Loop(tmp_path)
    loop.write("a.csv", sales(100))
    loop.turn(FEBRUARY)
    loop.write("b.csv", sales(100, "2024-02-01", first=100).assign(colour="red"))
    batch, _ = loop.turn(MARCH)
    assert batch.notes == ("new column 'colour' is ignored until columns.features names it",)
    assert "colour" not in loop.dataset().columns

    columns = {"key": ["id"], "event_time": "at", "target": "y", "features": ["price", "shop", "colour"]}
    loop = Loop(tmp_path, columns=columns)
    loop.write("c.csv", sales(100, "2024-03-01", first=200).assign(colour="blue"))
    batch, _ = loop.turn(APRIL)

    assert batch.changed == 0  # an empty new column changes no old row
    assert loop.dataset()["colour"].value_counts().to_dict() == {"blue": 100}


def test_rows_without_event_times_are_taken_once_as_they_come(tmp_path: Path):
    loop = Loop(tmp_path, columns={"target": "y"})
    loop.write("a.csv", sales(100).drop(columns=["at"]))
    loop.turn(FEBRUARY)
    loop.write("b.csv", sales(50, first=80).drop(columns=["at"]))

    batch, _ = loop.turn(MARCH)

    assert batch.read == 50
    arrived = loop.dataset()["_arrived"]
    assert arrived.max() == pd.Timestamp("2024-02-29 23:59:59.999999", tz="UTC")
    window = loop.workspace.table("sales", "dataset").read(batch.window, "_arrived")
    assert len(window) == 100 + batch.new


def test_no_row_at_all_is_an_error_and_leaves_nothing(loop: Loop):
    loop.write("sales.csv", sales(10))

    with pytest.raises(DataError, match="no row before 2020-01-01"):
        loop.turn(datetime(2020, 1, 1, tzinfo=UTC))

    assert not loop.workspace.table("sales", "dataset").exists()


def test_the_key_and_the_event_time_must_be_there(loop: Loop):
    loop.write("a.csv", sales(10))
    loop.turn(FEBRUARY)
    loop.write("b.csv", sales(10).drop(columns="id"))

    with pytest.raises(SourceError, match="has no column 'id'"):
        loop.turn(MARCH)
