"""Values on their way in: kinds, faults of rows, ranges."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from deltalake import write_deltalake
from support.turns import Loop, sales

from everfit.blocks.errors import SpecError
from everfit.tasks.storage.table_schema import read_kinds, schema_path

FEBRUARY, MARCH, APRIL = (datetime(2024, month, 1, tzinfo=UTC) for month in (2, 3, 4))


def test_an_infinite_or_too_large_number_is_a_fault_of_its_row(loop: Loop):
    rows = sales(500)
    rows.loc[7, "price"], rows.loc[8, "price"], rows.loc[9, "y"] = float("inf"), 1e300, float("-inf")
    loop.write("sales.parquet", rows)

    _, validation = loop.turn(FEBRUARY)

    assert (validation.passed, validation.accepted, validation.quarantined) == (True, 497, 3)
    assert sorted(loop.quarantine()["_reasons"]) == [
        "price: '1e+300' is too large to compute with; the largest number is 3.4e+38",
        "price: 'inf' is not finite",
        "y: '-inf' is not finite",
    ]
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "written", ["9999-12-31", "9999-12-31 23:59:59.999999", "0001-01-01", "2999-12-31", "1900-01-01", "1970-01-01"]
)
@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_time_that_says_not_known_is_not_known(tmp_path: Path, written: str, form: str):
    columns = {"key": ["id"], "event_time": "at", "label_time": "known_at", "target": "y"}
    loop = Loop(tmp_path, columns=columns, source={"kind": "files", "path": str(tmp_path / "data")})
    rows = sales(4).assign(known_at=["2024-01-02", written, "2024-01-03", None])
    if form == "parquet":
        rows["known_at"] = pd.to_datetime(rows["known_at"], format="ISO8601")
    loop.write(f"a.{form}", rows)
    batch, validation = loop.turn(FEBRUARY)

    assert (batch.new, validation.bad_rows) == (4, 0)
    known = loop.workspace.table("sales", "dataset").read().sort_values("id")["known_at"]
    assert known.isna().tolist() == [False, True, False, True]


@pytest.mark.parametrize("form", ["csv", "parquet", "delta", "sql"])
def test_a_row_whose_event_time_is_not_known_is_in_quarantine_once(tmp_path: Path, form: str):
    """Given times that say "not known" beyond a turn's window, when turns read the rows, then none is left out."""
    rows = sales(900)
    times = pd.to_datetime(rows["at"]).dt.tz_localize(None).astype("datetime64[us]").to_numpy().copy()
    times[[5, 7, 9]] = np.array(["9999-12-31T23:59:59.999999", "0001-01-01", "1970-01-01"], dtype="datetime64[us]")
    rows["at"] = times
    loop = Loop(tmp_path, source=written_as(form, tmp_path, rows))

    first, _ = loop.turn(datetime(2024, 1, 20, tzinfo=UTC))
    second, _ = loop.turn(FEBRUARY)

    assert loop.count("dataset") + loop.count("quarantine") == first.new + second.new == 31 * 24
    assert len(loop.quarantine()) == 3
    assert loop.quarantine()["_reasons"].str.contains("has no event time, since .* says that it is not known").all()


def written_as(form: str, folder: Path, rows: pd.DataFrame) -> dict[str, str]:
    """Write rows, and return the source that reads them."""
    path = folder / f"rows.{form}"
    if form == "delta":
        write_deltalake(
            path, pa.Table.from_pandas(rows.assign(at=rows["at"].dt.tz_localize("UTC")), preserve_index=False)
        )
        return {"kind": "delta", "path": str(path)}
    if form == "sql":
        engine = sa.create_engine(f"sqlite:///{path}")
        rows.to_sql("rows", engine, index=False, dtype={"at": sa.DateTime()})
        engine.dispose()
        return {"kind": "sql", "url": f"sqlite:///{path}", "table": "rows"}
    if form == "csv":
        rows.assign(at=rows["at"].map(str)).to_csv(path, index=False)
    else:
        rows.to_parquet(path, index=False)
    return {"kind": "files", "path": str(path)}


def test_rows_from_when_a_database_begins_to_count_are_kept_among_their_like(loop: Loop):
    loop.write("old.csv", sales(48, "1900-01-01"))
    loop.write("alone.csv", sales(1, "1970-01-01", first=100))

    loop.turn(FEBRUARY)

    assert (loop.count("dataset"), loop.count("quarantine")) == (49, 0)


def test_a_range_far_from_zero_holds_on_the_rows_it_was_made_from(loop: Loop):
    rows = sales(500)
    rows["lat"] = [52.5201 + number % 9 * 1e-5 for number in range(500)]
    loop.write("sales.csv", rows)

    _, validation = loop.turn(FEBRUARY)

    assert validation.passed, validation.reasons


@pytest.mark.slow
def test_an_ignored_column_is_not_asked_about(loop: Loop):
    rows = sales(300)
    rows["old"] = [float(number % 3) for number in range(300)]
    loop.write("a.csv", rows)
    loop.turn(FEBRUARY)
    loop.write("b.csv", sales(300, "2024-02-05", first=1000))
    loop.changes["columns"] = {"key": ["id"], "event_time": "at", "target": "y", "ignore": ["old"]}

    _, validation = loop.turn(MARCH)

    assert validation.passed, validation.reasons


def test_an_odd_word_among_booleans_is_a_fault_of_its_row(loop: Loop):
    rows = sales(100).assign(paid=[number % 3 == 0 for number in range(100)]).astype({"paid": object})
    rows.loc[40, "paid"] = "maybe"
    loop.write("sales.csv", rows)

    _, validation = loop.turn(FEBRUARY)

    assert (validation.accepted, validation.quarantined) == (99, 1)
    assert read_kinds(loop.workspace, "sales")["paid"] == "boolean"
    assert loop.quarantine()["_reasons"].tolist() == ["paid: 'maybe' is no boolean"]


def test_times_of_which_some_have_a_zone_are_noted(loop: Loop):
    rows = sales(100)
    rows["at"] = rows["at"].dt.strftime("%Y-%m-%d %H:%M:%S")
    loop.write("plain.csv", rows)
    assert not any("zone" in note for note in loop.turn(FEBRUARY)[0].notes)

    later = sales(100, "2024-02-02", first=900)
    later["at"] = later["at"].dt.strftime("%Y-%m-%dT%H:%M:%S") + pd.Series(["", "+02:00"] * 50)
    loop.write("mixed.csv", later)
    batch, _ = loop.turn(MARCH)

    assert "some times of 'at' have a zone and others don't; those without one are taken as UTC" in batch.notes
    assert loop.dataset()["at"].max() == pd.Timestamp("2024-02-06T02:00Z")


def test_the_spelling_of_a_column_is_decided_by_the_first_batch(loop: Loop):
    loop.write("a.csv", sales(200))
    loop.turn(FEBRUARY)
    loop.changes["columns"] = {"key": ["id"], "event_time": "at", "target": "y", "any_spelling": ["shop"]}

    with pytest.raises(SpecError, match="any_spelling names 'shop', which the dataset holds as it was written"):
        loop.turn(MARCH)


def test_rows_whose_keys_differ_by_their_spelling_alone_are_one_row(loop: Loop):
    loop.changes["columns"] = {"key": ["id"], "event_time": "at", "target": "y", "any_spelling": ["id", "shop"]}
    rows = sales(200)
    rows["id"] = [f"K{number}" for number in range(200)]
    loop.write("a.csv", rows)
    loop.write("b.parquet", rows.assign(id=rows["id"].str.lower() + "  ", shop=rows["shop"].str.title()))

    batch, _ = loop.turn(FEBRUARY)

    assert (batch.read, batch.new, batch.duplicates) == (400, 200, 200)
    assert set(loop.dataset()["shop"]) == {"north", "south"}


def test_rows_of_which_none_has_a_time_go_to_quarantine(loop: Loop):
    loop.write("a.csv", sales(2).assign(at=None))

    batch, validation = loop.turn(FEBRUARY)

    assert (batch.read, validation.accepted, validation.quarantined) == (2, 0, 2)


def test_a_time_that_is_not_known_is_so_in_the_parquet_of_spark(tmp_path: Path):
    columns = {"key": ["id"], "event_time": "at", "label_time": "known_at", "target": "y"}
    loop = Loop(tmp_path, columns=columns)
    known_at = [datetime(9999, 12, 31, 23, 59, 59), datetime(2024, 1, 20)] * 2  # noqa: DTZ001 - the file has no zone
    rows = sales(4).assign(at=sales(4)["at"].dt.tz_localize(None))
    table = pa.Table.from_pandas(rows).append_column("known_at", pa.array(known_at, pa.timestamp("us")))
    (tmp_path / "data").mkdir()
    pq.write_table(table, tmp_path / "data" / "a.parquet", use_deprecated_int96_timestamps=True)

    loop.turn(FEBRUARY)

    dataset = loop.dataset()
    assert dataset["known_at"].isna().tolist() == [True, False, True, False]
    assert dataset["at"].tolist() == sales(4)["at"].tolist()
