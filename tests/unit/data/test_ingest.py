"""Data in: every row exactly once, whatever comes late, twice, changed or broken, and whoever dies when."""

import json
import threading
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from support.turns import Loop, sales

from everfit.blocks.errors import DataError, SourceError
from everfit.tasks.data import commit as accepting
from everfit.tasks.data.commit import commit_batch
from everfit.tasks.data.ingest import ingest
from everfit.tasks.data.validate import validate
from everfit.tasks.sources.function import _plain
from everfit.tasks.storage.table_schema import read_kinds, schema_path
from everfit.tasks.storage.tables import Table

FEBRUARY, MARCH, APRIL = (datetime(2024, month, 1, tzinfo=UTC) for month in (2, 3, 4))


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    return Loop(tmp_path)


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
    loop.write("sales.csv", rows)
    loop.turn(FEBRUARY)
    rows.loc[60, "y"] = 77.0  # so that the file is read again
    loop.write("sales.csv", rows)

    batch, validation = loop.turn(MARCH)

    assert (batch.changed, validation.bad_rows) == (1, 0)
    reasons = sorted(loop.quarantine()["_reasons"])
    assert reasons == ["at: 'soon' is not a time", "at: the row has no event time"]


def test_what_needs_whole_columns_is_asked_of_all_parts_and_blames_the_right_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("everfit.tasks.sources.files.in_chunks", lambda tables: (t for t in _small(tables)))
    monkeypatch.setattr("everfit.tasks.data.staging.rows_at_once", lambda columns: 100)
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


def test_a_column_that_is_missing_or_retyped_fails_the_batch_by_name(loop: Loop):
    loop.write("a.csv", sales(100))
    loop.turn(FEBRUARY)
    loop.write("b.csv", sales(100, "2024-02-01", first=100).drop(columns="price").assign(shop="north"))
    _, missing = loop.turn(MARCH)
    (loop.folder / "data" / "b.csv").unlink()
    loop.write("c.csv", sales(100, "2024-02-01", first=100).assign(price="much"))
    _, retyped = loop.turn(APRIL)

    assert missing.reasons == ("column 'price' exists: expected number",)
    assert not retyped.passed
    assert loop.quarantine()["_reasons"].iloc[-1] == "price: 'much' is no number"
    assert loop.count("dataset") == 100


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


class Died(BaseException):
    pass


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
    monkeypatch.setattr("everfit.tasks.sources.files.in_chunks", lambda tables: (t for t in _small(tables)))
    monkeypatch.setattr("everfit.tasks.data.staging.rows_at_once", lambda columns: 100)
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


def _small(tables):
    for table in tables:
        for start in range(0, table.num_rows, 100):
            import pyarrow as pa

            yield pa.Table.from_batches([table.slice(start, 100)])


def test_a_turn_that_died_before_another_took_its_rows_takes_none_of_them_again(loop: Loop):
    loop.write("a.csv", sales(100))
    staged = ingest(loop.spec, FEBRUARY, "died", loop.workspace)
    checked = validate(loop.spec, staged, loop.workspace)
    loop.turn(FEBRUARY, "other")

    commit_batch(loop.spec, staged, checked, loop.workspace)

    assert list(loop.dataset()["id"]) == list(range(100))


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


def test_an_infinite_number_is_a_fault_of_its_row(loop: Loop):
    rows = sales(500)
    rows.loc[7, "price"], rows.loc[9, "y"] = float("inf"), float("-inf")
    loop.write("sales.parquet", rows)

    _, validation = loop.turn(FEBRUARY)

    assert (validation.passed, validation.accepted, validation.quarantined) == (True, 498, 2)
    assert sorted(loop.quarantine()["_reasons"]) == ["price: 'inf' is not finite", "y: '-inf' is not finite"]
    assert loop.dataset()[["price", "y"]].abs().max().max() < 10


def test_an_infinite_number_in_a_later_batch_is_a_fault_of_its_row(loop: Loop):
    loop.write("a.csv", sales(200))
    loop.turn(FEBRUARY)
    later = sales(200, "2024-02-05", first=1000).astype({"price": object})
    later.loc[3, "price"] = "Infinity"
    loop.write("b.csv", later)

    _, validation = loop.turn(MARCH)

    assert (validation.accepted, validation.quarantined) == (199, 1)
    assert loop.quarantine()["_reasons"].tolist() == ["price: 'inf' is not finite"]


def test_codes_with_leading_zeros_stay_what_they_are(loop: Loop):
    rows = sales(300)
    rows["plz"] = [("01067", "80331")[number % 2] for number in range(300)]
    rows["order"] = [f"20240101{number:012d}" for number in range(300)]
    loop.write("sales.csv", rows)

    loop.turn(FEBRUARY)

    assert set(loop.dataset()["plz"]) == {"01067", "80331"}
    assert loop.dataset()["order"].nunique() == 300


def test_ids_with_letters_in_one_file_and_only_digits_in_the_next(loop: Loop):
    first, second = sales(200), sales(200, "2024-01-15", first=200)
    first["id"], second["id"] = first["id"].astype(str), second["id"].astype(str)
    first.loc[4, "id"] = "B4"
    loop.write("a.csv", first)
    loop.write("b.csv", second)

    loop.turn(FEBRUARY)

    assert sorted(loop.dataset()["id"]) == sorted([*first["id"], *second["id"]])


def test_numbers_as_text_beside_numbers_are_numbers(loop: Loop):
    first, second = sales(200), sales(200, "2024-01-15", first=200)
    second["price"] = second["price"].astype(str)
    loop.write("a.parquet", first)
    loop.write("b.parquet", second)

    loop.turn(FEBRUARY)

    assert loop.dataset()["price"].dtype == "float64"
    assert loop.quarantine().empty if loop.count("quarantine") else True


def test_prices_that_turn_out_to_be_text_are_read_again_as_they_were_written(loop: Loop):
    first, second = sales(200), sales(200, "2024-01-15", first=200)
    first["price"] = [f"{number % 7}.50" for number in range(200)]
    second["price"] = [("on request", "2.50")[number % 2] for number in range(200)]
    loop.write("a.csv", first)
    loop.write("b.csv", second)

    loop.turn(FEBRUARY)

    assert set(loop.dataset()["price"]) == {*first["price"], *second["price"]}


def test_durations_of_two_units_are_seconds(loop: Loop):
    for name, unit, since, first in (("a.parquet", "ns", "2024-01-01", 0), ("b.parquet", "ms", "2024-01-15", 200)):
        rows = sales(200, since, first=first)
        rows["wait"] = pd.to_timedelta(rows["id"] % 60, unit="s").astype(f"timedelta64[{unit}]")
        loop.write(name, rows)

    loop.turn(FEBRUARY)

    dataset = loop.dataset()
    assert (dataset["wait"] == dataset["id"] % 60).all()
    assert read_kinds(loop.workspace, "sales")["wait"] == "duration"


def test_the_kinds_are_kept_and_a_dataset_of_before_has_those_of_its_types(loop: Loop):
    rows = sales(200)
    rows["member"] = rows["id"] % 2 == 0
    loop.write("sales.parquet", rows)
    loop.turn(FEBRUARY)

    kinds = read_kinds(loop.workspace, "sales")
    loop.workspace.filesystem.rm(schema_path(loop.workspace, "sales"))
    earlier = read_kinds(loop.workspace, "sales")

    assert kinds == {
        "id": "integer", "at": "time", "price": "decimal", "shop": "text", "y": "decimal", "member": "boolean",
    }  # fmt: skip
    assert {**earlier, "member": "boolean"} == kinds


def test_each_time_column_has_its_own_format(loop: Loop):
    rows = sales(48)
    rows["settled"] = (rows["at"] + pd.Timedelta("1D")).dt.strftime("%d.%m.%Y %H:%M")
    loop.write("sales.csv", rows)
    loop.changes |= {
        "source": {"path": str(loop.folder / "data"), "label_time_format": "%d.%m.%Y %H:%M"},
        "columns": {"key": ["id"], "event_time": "at", "label_time": "settled", "target": "y"},
    }

    loop.turn(FEBRUARY)

    dataset = loop.dataset()
    assert (dataset["settled"] - dataset["at"] == pd.Timedelta("1D")).all()


def test_a_range_far_from_zero_holds_on_the_rows_it_was_made_from(loop: Loop):
    rows = sales(500)
    rows["lat"] = [52.5201 + number % 9 * 1e-5 for number in range(500)]
    loop.write("sales.csv", rows)

    _, validation = loop.turn(FEBRUARY)

    assert validation.passed, validation.reasons


def test_an_ignored_column_is_not_asked_about(loop: Loop):
    rows = sales(300)
    rows["old"] = [float(number % 3) for number in range(300)]
    loop.write("a.csv", rows)
    loop.turn(FEBRUARY)
    loop.write("b.csv", sales(300, "2024-02-05", first=1000))
    loop.changes["columns"] = {"key": ["id"], "event_time": "at", "target": "y", "ignore": ["old"]}

    _, validation = loop.turn(MARCH)

    assert validation.passed, validation.reasons


def test_names_of_a_frame_are_texts_and_each_its_own(loop: Loop):
    with pytest.raises(SourceError, match=r"has the column 'x' twice; give each column its own name"):
        _plain(pd.DataFrame([[1, 2]], columns=["x", "x"]), "shop:rows")
    with pytest.raises(SourceError, match="the column names have 2 levels"):
        _plain(pd.DataFrame([[1]], columns=pd.MultiIndex.from_tuples([("a", "b")])), "shop:rows")

    assert _plain(pd.DataFrame([[1]], columns=[0], index=[7]), "shop:rows").to_dict() == {"0": {0: 1}}


def test_what_is_passed_over_or_renamed_is_noted(loop: Loop):
    loop.write("sales.csv", sales(100).assign(_margin=1.0))
    (loop.folder / "data" / "march.csv.zip").write_bytes(b"PK")

    batch, _ = loop.turn(FEBRUARY)

    assert "column '_margin' is read as 'margin'" in batch.notes
    assert any("march.csv.zip' looks like data" in note for note in batch.notes)
