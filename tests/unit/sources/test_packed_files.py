"""Compressed files, archives and folders of partitions, whatever their names say."""

import gzip
import io
import sqlite3
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import DeltaSource, FilesSource, SqlSource
from everfit.blocks.spec import ColumnRoles
from everfit.tasks.core.records import Window
from everfit.tasks.sources import FileStates, read_source

ROLES = ColumnRoles(key=("id",), event_time="at", target="y")
ALL = Window(until=datetime(2030, 1, 1, tzinfo=UTC))
CSV = "id,at,y\n1,2024-01-01,0.5\n2,2024-01-02,1.5\n"
JSON = '{"id": 1, "at": "2024-01-01", "y": 0.5}\n{"id": 2, "at": "2024-01-02", "y": 1.5}\n'


def read(path: Path, states: FileStates | None = None, window: Window = ALL, **options: Any) -> pd.DataFrame:
    source = FilesSource(path=str(path), **options)
    frames = [piece.frame for piece in read_source(source, ROLES, window, states)]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def zipped(**files: str | bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return buffer.getvalue()


def parquet() -> bytes:
    frame = pd.DataFrame({"id": [1, 2], "at": pd.to_datetime(["2024-01-01", "2024-01-02"]), "y": [0.5, 1.5]})
    return bytes(frame.to_parquet(index=False))


def named(value: object) -> str:
    """Name a case by its texts: compressed bytes have the time in them, and processes must agree."""
    return value if isinstance(value, str) else "bytes"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv.zip", zipped(a__csv=CSV)),
        ("a.zip", zipped(rows=CSV)),
        ("A.ZIP", zipped(a__parquet=parquet())),
        ("a.csv", zipped(a__csv=CSV)),  # a zip that is called CSV
        ("a.csv.gz", zipped(a__csv=CSV)),
        ("mac.zip", zipped(a__csv=CSV, **{"__MACOSX/._a.csv": b"\0"})),
        ("lines.zip", zipped(lines__json=JSON)),
        ("a.gz", gzip.compress(CSV.encode())),
        ("a.csv.gzip", gzip.compress(CSV.encode())),
        ("a.csv", gzip.compress(CSV.encode())),
        ("a.gz", gzip.compress(JSON.encode())),
        ("a.parquet.gz", gzip.compress(parquet())),
        ("a.gz", gzip.compress(parquet())),
        ("a.gz", CSV.encode()),  # not compressed at all
    ],
    ids=named,
)
def test_it_is_unpacked(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    for path in (tmp_path, tmp_path / name):
        frame = read(path)
        assert frame["id"].tolist() == [1, 2]
        assert frame["y"].tolist() == [0.5, 1.5]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.zip", zipped(a__csv=CSV, b__csv=CSV), r"a.zip' is an archive of 2 files \(a.csv, b.csv\); unpack it"),
        ("a.zip", zipped(), r"a.zip' is an archive of 0 files \(none\); unpack it"),
        ("a.zip", zipped(**{"[Content_Types].xml": "<x/>"}), "is a spreadsheet or a document; save it as CSV"),
        ("a.zip", zipped(a__csv=CSV)[:60], "can't be unpacked: File is not a zip file"),
        ("a.gz", gzip.compress(CSV.encode())[:20], "can't be unpacked: Compressed file ended"),
    ],
    ids=named,
)
def test_what_can_not_be_unpacked_is_one_clear_error(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=says):
        read(tmp_path)


def test_what_is_no_table_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV)
    for name in ("b.tar.gz", "c.xlsx", "d.csv.bz2", "readme.md"):
        (tmp_path / name).write_bytes(b"x")
    states = FileStates()
    assert len(read(tmp_path, states)) == 2
    assert [Path(name).name for name in states.unread] == ["b.tar.gz", "c.xlsx", "d.csv.bz2"]


def test_a_link_to_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV)
    (tmp_path / "b.csv").symlink_to(tmp_path / "gone.csv")
    with pytest.raises(SourceError, match=r"/b.csv' is a link to a file that is gone, or was just removed; remove"):
        read(tmp_path)


def test_folders_of_partitions_give_columns(tmp_path: Path) -> None:
    for country, day, number in (("de", 1, 1), ("de", 2, 2), ("a%20b", 2, 3), ("__HIVE_DEFAULT_PARTITION__", 3, 4)):
        folder = tmp_path / "[data]?" / f"country={country}" / f"at=2024-01-{day:02d}"
        folder.mkdir(parents=True)
        frame = pd.DataFrame({"id": [number], "y": [1.0]})
        frame.to_parquet(folder / "a.parquet", index=False) if day == 2 else frame.to_csv(folder / "a.csv", index=False)
    states = FileStates()
    frame = read(tmp_path / "[data]?", states).sort_values("id")
    assert frame["country"].tolist()[:3] == ["de", "de", "a b"]
    assert frame["country"].isna().tolist() == [False, False, False, True]
    assert [str(at.date()) for at in frame["at"]] == ["2024-01-01", "2024-01-02", "2024-01-02", "2024-01-03"]
    again = FileStates(earlier=states.current)
    assert read(tmp_path / "[data]?", again).empty  # each file was read to its end


def test_numbers_of_partitions_are_numbers_and_a_column_of_the_file_counts_more(tmp_path: Path) -> None:
    folder = tmp_path / "shop=7" / "y=0"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text(CSV)
    frame = read(tmp_path)
    assert frame["shop"].tolist() == [7, 7]
    assert frame["y"].tolist() == [0.5, 1.5]


def test_columns_of_bytes_are_left_out_by_name_and_refused_if_the_spec_needs_them(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"id": [1, 2], "at": pd.to_datetime(["2024-01-01"] * 2), "y": [0.5, 1.5], "photo": [b"a", None]}
    )
    frame.to_parquet(tmp_path / "a.parquet", index=False)
    from deltalake import write_deltalake

    write_deltalake(str(tmp_path / "delta"), frame)
    with sqlite3.connect(tmp_path / "shop.db") as database:
        frame.assign(at="2024-01-01").to_sql("sales", database, index=False)
    database.close()
    sources = (
        FilesSource(path=str(tmp_path / "a.parquet")),
        DeltaSource(kind="delta", path=str(tmp_path / "delta")),
        SqlSource(kind="sql", url=f"sqlite:///{tmp_path / 'shop.db'}", table="sales"),
    )
    for source in sources:
        states = FileStates()
        (chunk,) = read_source(source, ROLES, ALL, states)
        assert list(chunk.frame.columns) == ["id", "at", "y"]
        assert states.left_out == {"photo": "bytes: convert them to text or numbers in the source"}
        ignoring = ROLES.model_copy(update={"ignore": ("photo",)})
        assert list(next(read_source(source, ignoring, ALL)).frame.columns) == ["id", "at", "y"]
        asking = ROLES.model_copy(update={"features": ("photo",)})
        with pytest.raises(SourceError, match="column 'photo' holds bytes; convert it to text or numbers"):
            list(read_source(source, asking, ALL))
