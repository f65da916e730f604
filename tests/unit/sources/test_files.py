"""Files as people have them: each is read right, or refused by one sentence."""

import gzip
import json
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.source_files import CSV, ROLES, read, written

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import SqlSource
from everfit.tasks.core.records import Window
from everfit.tasks.sources import csv_files, read_source
from everfit.tasks.sources.encoding import HEAD


def check(frame: pd.DataFrame) -> None:
    assert frame["id"].tolist() == [1, 2]
    assert frame["name"].tolist() == ["one", "two"]
    assert frame["y"].tolist() == [0.5, 1.5]
    assert [str(each) for each in frame["at"]] == ["2024-01-01 00:00:00+00:00", "2024-01-02 06:00:00+00:00"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_told_by_the_header(tmp_path: Path, delimiter: str):
    check(read(written(tmp_path, CSV.replace(",", delimiter))))


def test_a_given_delimiter_that_is_wrong_is_told_of(tmp_path: Path):
    with pytest.raises(SourceError, match=r"has no column 'id', .* it has 'id,at,name,y'"):
        read(written(tmp_path, CSV), delimiter=";")


def test_byte_order_marks_encodings_and_gzip(tmp_path: Path):
    check(read(written(tmp_path, b"\xef\xbb\xbf" + CSV.encode())))
    check(read(written(tmp_path, CSV.encode("utf-16")), encoding="utf-16"))
    check(read(written(tmp_path, gzip.compress(CSV.encode()), "data.csv.gz")))
    check(read(written(tmp_path, "\n\n" + CSV.replace("\n", "\r\n"))))
    latin = CSV.replace("one", "café").encode("latin-1")
    assert read(written(tmp_path, latin), encoding="latin-1")["name"][0] == "café"
    with pytest.raises(SourceError, match=r"is not encoded in utf-8 .* set source.encoding, such as cp1252"):
        read(written(tmp_path, latin))
    with pytest.raises(SourceError, match=r"is UTF-16; set source.encoding to utf-16"):
        read(written(tmp_path, CSV.encode("utf-16")))


def test_json_lines_with_nested_and_mixed_values(tmp_path: Path):
    rows = [
        {"id": 1, "at": "2024-01-01", "name": "one", "y": 0.5, "tags": ["a"], "size": 1},
        {"id": 2, "at": "2024-01-02T06:00:00Z", "name": "two", "y": 1.5, "size": "big"},
    ]
    lines = "\n".join(map(json.dumps, rows))
    for path in (written(tmp_path, lines, "a.jsonl"), written(tmp_path, json.dumps(rows), "b.json")):
        frame = read(path)
        check(frame)
        assert [str(each) for each in frame["size"]] == ["1", "big"]
    assert read(written(tmp_path, json.dumps(rows[0]), "c.jsonl"))["tags"].tolist() == ['["a"]']
    with pytest.raises(SourceError, match="1 of 2 lines can't be read, such as line 2 is no JSON "):
        read(written(tmp_path, lines.replace("\n", "\n{"), "a.jsonl"))


def test_nan_and_infinity_as_python_writes_them_into_json(tmp_path: Path):
    rows = [
        {"id": 1, "at": "2024-01-01", "name": "one", "y": 0.5, "size": float("nan")},
        {"id": 2, "at": "2024-01-02T06:00:00Z", "name": "two", "y": 1.5, "size": float("-inf")},
    ]
    for path in (
        written(tmp_path, "\n".join(map(json.dumps, rows)), "a.jsonl"),
        written(tmp_path, json.dumps(rows), "b.json"),
    ):
        frame = read(path)
        check(frame)
        assert frame["size"].isna().tolist() == [True, False]
        assert frame["size"].tolist()[1] == float("-inf")
    with pytest.raises(SourceError, match="line 1 is no JSON"):
        read(written(tmp_path, '{"id": NaNNaN}', "c.jsonl"))


def test_missing_values_by_their_many_names(tmp_path: Path):
    names = ["", "NA", "-", "null", "NaN", "N/A", "?", "None"]
    lines = [f"{number},2024-01-01,{name},{name}" for number, name in enumerate(names)]
    frame = read(written(tmp_path, "id,at,name,y\n" + "\n".join(lines) + "\n99,2024-01-01,x,1\n"))

    assert frame["y"].isna().sum() == frame["name"].isna().sum() == len(names)
    assert frame["y"].dtype == np.float64


@pytest.mark.slow
@pytest.mark.parametrize("processors", [1, 2])  # Arrow words its errors otherwise where it reads by one thread
def test_types_that_hold_only_at_the_beginning_are_widened(tmp_path: Path, processors: int, request):
    request.addfinalizer(partial(pa.set_cpu_count, pa.cpu_count()))
    pa.set_cpu_count(processors)
    rows = 500_000
    lines = [f"{number},2024-01-01,,{number}" for number in range(rows)]
    lines[-1] = f"{rows},2024-01-01,late,0.25"
    frame = read(written(tmp_path, "id,at,name,y\n" + "\n".join(lines)))

    assert len(frame) == rows
    assert (frame["name"].iloc[-1], frame["y"].iloc[-1]) == ("late", 0.25)


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        (("0,5", "1,25"), [0.5, 1.25]),
        (('"0,125"', '"12,250"'), [0.125, 12.25]),
        (("1,125", "12,250"), ["1,125", "12,250"]),  # thousands
        (("1,125", "12.5"), ["1,125", "12.5"]),
    ],
)
def test_a_comma_in_numbers_where_something_else_parts_them(tmp_path: Path, delimiter: str, values, numbers):
    text = "id;at;y\n1;2024-01-01;{}\n2;2024-01-02;{}\n".format(*values).replace(";", delimiter)

    assert read(written(tmp_path, text))["y"].tolist() == numbers


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"\n\n", "is empty"),
        (
            "a.csv",
            CSV + "3,2024-01-03\n" * 2,
            r"2 of 4 lines can't be read, such as line 4 has 2 values in place of 4: '3,2024-01-03'",
        ),
        (
            "a.csv",
            CSV + '3,2024-01-03,"three,1\n' + "4,2024-01-04,four,1\n" * 9,
            "of line 4 takes in 10 lines, and they",
        ),
        ("a.csv", b"PAR1" + b"\0" * 50, "is Parquet, not a text table"),
        ("a.csv", b"PK\x03\x04" + b"\0" * 50, "can't be unpacked: File is not a zip file"),
        ("a.csv", b"BZh91AY" + b"x" * 50, "is compressed by bzip2"),
        ("a.csv", b"<!DOCTYPE html><html><body>Not found</body></html>", "is a web page"),
        ("a.csv", b"id^at^y\n1^2024-01-01^2\n", r"has 'id\^at\^y'; if its delimiter is another one"),
        ("a.csv", b"a,b\0c\n1,2\n", "contains zero bytes"),
        ("a.csv", b"x" * (3 << 20), "a first line longer than 1 MiB"),
        ("a.csv", CSV.encode() + b'3,2024-01-01,"' + b"x" * (20 << 20), "a line is longer than 8 MiB, or a quotation"),
        (
            "a.csv",
            CSV.replace("2024-01-0", "day "),
            r"'at' can't be read as times, such as 'day 1'; set source.time_format",
        ),
        ("a.csv", "id,at,y\n1,1704067200,1\n", r"1704067200 is a number; set source.time_format"),
        ("a.csv.gz", gzip.compress(CSV.encode() * 5000)[:500], "can't be read as csv"),
        ("a.parquet", b"PAR1 and then nothing", "can't be read as parquet"),
        ("a.parquet", b"", "can't be read as parquet"),
        ("a.csv", "version https://git-lfs.github.com/spec/v1\nsize 9\n", "pointer of Git LFS, .* run git lfs pull"),
        ("a.xlsx", b"whatever", "is a spreadsheet; save its sheet as CSV"),
        (
            "a.csv",
            ",".join(f"c{number}" for number in range(10_000)) + "\n1\n",
            "has 10,000 columns, .* than the 1,000",
        ),
        ("a.jsonl", b'{"id": 1}\n[2]\n', "line 2 holds list, not an object"),
    ],
)
def test_a_broken_file_is_one_clear_error(tmp_path: Path, name: str, content: bytes | str, words: str):
    with pytest.raises(SourceError, match=words) as told:
        read(written(tmp_path, content, name))

    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 600


def test_a_truncated_parquet_file(tmp_path: Path):
    path = tmp_path / "a.parquet"
    pd.DataFrame({"id": range(1000)}).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(SourceError, match="can't be read as parquet"):
        read(path)


def test_a_header_without_rows_gives_no_rows(tmp_path: Path):
    assert read(written(tmp_path, "id,at,name,y\n")).empty


@pytest.mark.slow
def test_ten_thousand_columns_are_read_by_those_that_the_spec_names(tmp_path: Path):
    names = ["id", "at", "y", *(f"c{number}" for number in range(10_000))]
    path = written(tmp_path, ",".join(names) + "\n1,2024-01-01,2" + ",7" * 10_000 + "\n")
    roles = ROLES.model_copy(update={"features": ("c5", "c9999")})

    assert list(read(path, roles).columns) == ["id", "at", "y", "c5", "c9999"]


@pytest.mark.parametrize(
    ("written_as", "time_format"),
    [("1704153600", "epoch_s"), ("1704153600000", "epoch_ms"), ("02.01.2024 00:00", "%d.%m.%Y %H:%M")],
)
def test_times_in_other_forms(tmp_path: Path, written_as: str, time_format: str):
    frame = read(written(tmp_path, f"id,at,y\n1,{written_as},1\n"), time_format=time_format)

    assert frame["at"].tolist() == [pd.Timestamp("2024-01-02", tz="UTC")]


def test_parquet_of_every_type(tmp_path: Path):
    at = [datetime(2024, 1, 1), datetime(2024, 1, 2, 6)]  # noqa: DTZ001 - without a zone it is UTC
    table = pa.table(
        {
            "id": pa.array([1, 2], pa.int32()),
            "at": pa.array(at, pa.timestamp("ns")),
            "name": pa.array(["one", "two"]).dictionary_encode(),
            "y": pa.array([0.5, 1.5], pa.float32()),
            "price": pa.array([1, 2], pa.int32()).cast(pa.decimal128(12, 2)),
            "day": pa.array([at[0].date(), None], pa.date32()),
            "box": pa.array([{"a": 1}, None]),
            "view": pa.array(["seen", None], pa.string_view()),  # the texts of Polars and DuckDB
            "bytes": pa.array([b"x", None], pa.binary_view()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    frame = read(tmp_path / "a.parquet")

    check(frame)
    assert frame["price"].tolist() == [1.0, 2.0]
    assert frame["box"].tolist()[0] == '{"a":1}'
    assert frame["view"].tolist()[0] == "seen"
    assert "bytes" not in frame


@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d", "%Y-%m-%d %H:%M:%S.000000"])
def test_times_of_sqlite_are_compared_as_times(tmp_path: Path, form: str):
    import sqlite3

    days = pd.date_range("2024-01-01", periods=20, freq="D")
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("create table sales (id integer, at timestamp, y integer)")
        database.executemany("insert into sales values (?, ?, 1)", [(n, f"{day:{form}}") for n, day in enumerate(days)])
    database.close()
    source = SqlSource(kind="sql", url=f"sqlite:///{tmp_path / 'shop.db'}", table="sales")
    window = Window(since=datetime(2024, 1, 5, tzinfo=UTC), until=datetime(2024, 1, 10, tzinfo=UTC))

    (chunk,) = read_source(source, ROLES, window)

    assert chunk.frame["id"].tolist() == [4, 5, 6, 7, 8]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["007", "8"], ["007", "8"]),
        (["7", "-08"], ["7", "-08"]),
        (["+49", "50"], ["+49", "50"]),
        (["12345678901234567890", "1"], ["12345678901234567890", "1"]),
        (["9007199254740993", "1"], ["9007199254740993", "1"]),
        (["1700000000000000", "1"], [1700000000000000, 1]),
        (["0.12345678901234567", "100000000000000000000"], [0.12345678901234567, 1e20]),
        (["0", "-0.5", "10"], [0.0, -0.5, 10.0]),
        (["1", "07"], ["1", "07"]),
    ],
)
@pytest.mark.parametrize("blank", [b"", b"a" * HEAD])
def test_digits_that_a_number_does_not_give_back_are_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: list[str], expected: list[Any], blank: bytes
):
    # The long text moves the values over the border of two blocks, which are smaller here than they are.
    monkeypatch.setattr(csv_files, "BLOCK", HEAD)
    rows = [f'{n},2024-01-01,"{blank.decode() if n == 0 else ""}",{value},1' for n, value in enumerate(values)]
    path = written(tmp_path, "\n".join(["id,at,text,code,y", *rows, ""]))

    assert read(path)["code"].tolist() == expected


def test_uuids_are_texts(tmp_path: Path):
    ids = [UUID(int=number) for number in (1, 2)]
    table = pa.table(
        {
            "id": pa.array([1, 2]),
            "at": pa.array(pd.to_datetime(["2024-01-01", "2024-01-02"])),
            "name": pa.array([each.bytes for each in ids], pa.uuid()),
            "y": pa.array([0.5, 1.5]),
        }
    )
    pq.write_table(table, tmp_path / "data.parquet")

    assert read(tmp_path / "data.parquet")["name"].tolist() == [str(each) for each in ids]
