"""The tables by themselves."""

import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import deltalake
import numpy as np
import pandas as pd
import pytest

from everfit.tasks.core.records import Window
from everfit.tasks.storage.table_reads import text_field
from everfit.tasks.storage.tables import DAY, KEY, Table

READ_A_LITTLE = """
import sys
from everfit.tasks.storage.tables import Table
for number, _ in enumerate(Table(sys.argv[1]).batches(rows=24)):
    if number == 5:
        break
"""


@pytest.mark.slow
def test_a_process_that_ends_while_a_table_is_read_ends_in_peace(tmp_path: Path):
    at = pd.date_range("2024-01-01", periods=6_000, freq="h", tz="UTC").as_unit("us")
    rows = pd.DataFrame({KEY: np.arange(len(at)), "at": at, DAY: at.date, "x": np.zeros(len(at))})
    Table(str(tmp_path / "table")).append(rows, "one")

    done = subprocess.run(
        [sys.executable, "-c", READ_A_LITTLE, str(tmp_path / "table")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_texts_with_other_ends_of_lines_than_json_has_are_flushed(tmp_path: Path) -> None:
    """Delta writes the least and greatest texts into its log as they are, and Python sees more ends of lines there."""
    table = Table(str(tmp_path / "table"))
    texts = ["\u0085\u2028", "\u2029z"]
    rows = pd.DataFrame({KEY: [1, 2], DAY: pd.to_datetime(["2024-03-01"] * 2).date, "text": texts})

    table.append(rows, "one")
    table.append(rows, "one")  # it is found, and flushed again

    assert list(table.read()["text"]) == texts


def test_rows_that_two_append_at_once_under_one_name_are_there_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, other = Table(str(tmp_path / "labels")), Table(str(tmp_path / "labels"))
    rows = pd.DataFrame({KEY: ["a", "b"], DAY: pd.Series(pd.to_datetime(["2024-03-01"] * 2)).dt.date})
    table.append(rows, "before")
    write, others = deltalake.write_deltalake, []

    def second(*arguments: Any, **named: Any) -> None:
        """Between the first one's look at the table and its write another does the same."""
        if not others:
            others.append("it comes")
            others.append(other.append(rows, "the same"))
        write(*arguments, **named)

    monkeypatch.setattr(deltalake, "write_deltalake", second)
    table.append(rows, "the same")

    assert others == ["it comes", 2]
    assert len(table.open().to_pyarrow_table()) == 4


def test_small_files_are_read_as_one_chunk_and_no_chunk_is_larger_than_asked(tmp_path: Path) -> None:
    at = pd.date_range("2024-01-01", periods=240, freq="h", tz="UTC").as_unit("us")
    rows = pd.DataFrame({KEY: np.arange(len(at)), "at": at, DAY: at.date})
    table = Table(str(tmp_path / "table"))
    table.append(rows, "ten days")

    whole = list(table.batches())
    parts = list(table.batches(rows=100))

    assert [len(chunk) for chunk in whole] == [240]
    assert max(map(len, parts)) <= 100
    assert len(parts) == 3
    assert sorted(pd.concat(parts)[KEY]) == sorted(whole[0][KEY]) == list(range(240))


def many_days(folder: Path, days: int = 12) -> Table:
    """A table of an hour a row whose files are a day each; a column came with the second commit."""
    table = Table(str(folder / "days"))
    at = pd.date_range("2024-01-01", periods=24 * days, freq="h", tz="UTC").as_unit("us")
    rows = pd.DataFrame({KEY: np.arange(len(at)), "at": at, DAY: at.date, "x": np.arange(len(at)) / 2})
    table.append(rows[: len(rows) // 2], "one")
    table.append(rows[len(rows) // 2 :].assign(more="text"), "two")
    return table


def test_the_files_are_those_that_delta_reads_in_its_order(tmp_path: Path) -> None:
    table = many_days(tmp_path)
    for version in (1, 2):
        delta = table.open(version).to_pyarrow_dataset()
        assert table.dataset(version).schema == delta.schema
        assert table.dataset(version).to_table().equals(delta.to_table())


def test_only_the_days_that_are_asked_for_are_opened(tmp_path: Path) -> None:
    table = many_days(tmp_path)
    window = Window(since=datetime(2024, 1, 11, tzinfo=UTC), until=datetime(2024, 1, 12, tzinfo=UTC))
    expected = table.read(window, "at")
    for file in Path(table.uri).glob(f"{DAY}=2024-01-0*/*.parquet"):  # the first nine days
        file.unlink()

    assert table.newest("at") == datetime(2024, 1, 12, 23, tzinfo=UTC)
    pd.testing.assert_frame_equal(table.read(window, "at"), expected)
    assert len(expected) == 24
    with pytest.raises(FileNotFoundError):
        table.oldest("at")


def test_files_without_a_row_in_a_range_are_left_out_and_those_with_an_empty_value_are_not(tmp_path: Path) -> None:
    table = Table(str(tmp_path / "ids"))
    for day, ids in enumerate([[1, 2, 3], [4, None, 6], [7, 8, 9]], start=1):
        rows = pd.DataFrame({KEY: range(3), DAY: [datetime(2024, 1, day).date()] * 3, "text": ["5"] * 3})  # noqa: DTZ001
        table.append(rows.assign(id=pd.array(ids, dtype="Int64")), f"day {day}")

    def days(**ranges: tuple[int, int]) -> list[int]:
        batches = table.arrow_batches([DAY], ranges=ranges)
        return sorted({day.day for batch in batches for day in batch[DAY].to_pylist()})

    assert days(id=(9, 12)) == [2, 3]
    assert days(id=(3, 3)) == [1, 2]
    assert days(id=(-5, 0)) == [2]
    assert days(id=(6, 7)) == [2, 3]
    assert days(text=(9, 12)) == days(unknown=(9, 12)) == [1, 2, 3]  # nothing is known of these


def test_a_table_that_grows_and_one_in_its_place_are_read_as_they_are(tmp_path: Path) -> None:
    table = many_days(tmp_path)
    before, columns = table.read(), table.columns()
    with pytest.MonkeyPatch.context() as patch:  # a version that was read is not opened again
        patch.setattr(deltalake, "DeltaTable", None)
        pd.testing.assert_frame_equal(table.read(), before)
        assert table.columns() == columns

    table.remove(f"{KEY} >= 10")
    assert len(table.read()) == 10
    pd.testing.assert_frame_equal(table.read(version=2), before)

    shutil.rmtree(table.uri)
    many_days(tmp_path, days=2)
    assert len(table.read()) == 48


def test_a_row_is_found_by_a_text_after_others_were_deleted(tmp_path: Path) -> None:
    # Texts of which each has its own, such as ids, are the ones that Arrow compares with the statistics of a file.
    table, ids = Table(str(tmp_path / "log")), [f"018d6a55-{number:04d}" for number in range(50)]
    day = pd.Series(pd.to_datetime(["2024-03-01"] * 50)).dt.date
    table.append(pd.DataFrame({KEY: range(50), DAY: day, "id": ids}), "one")

    table.remove(f"{KEY} = 7")

    found = table.dataset().to_table(filter=text_field("id") == ids[8])
    assert found["id"].to_pylist() == [ids[8]]
    assert not len(table.dataset().to_table(filter=text_field("id") == ids[7]))
