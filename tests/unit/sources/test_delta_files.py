"""Delta tables of other writers: each row of the window is read, whatever the files say of themselves."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import Field, Schema, convert_to_deltalake, write_deltalake

from everfit.blocks.sources import DeltaSource
from everfit.blocks.spec import ColumnRoles
from everfit.tasks.core.records import Window
from everfit.tasks.sources import read_source

ROLES = ColumnRoles(key=("id",), event_time="at", label_time="closed", target="y")
START = datetime(2024, 1, 1, tzinfo=UTC)
NEVER = datetime(9999, 12, 31, tzinfo=UTC)


def rows(first: int, count: int) -> pa.Table:
    """Rows of an hour each; of every third the label has not come, as the writer's 9999-12-31 says."""
    numbers = range(first, first + count)
    times = [START + timedelta(hours=number) for number in numbers]
    closed = [NEVER if number % 3 == 0 else at + timedelta(hours=1) for number, at in zip(numbers, times, strict=True)]
    stamp = pa.timestamp("us", tz="UTC")
    return pa.table(
        {"id": list(numbers), "at": pa.array(times, stamp), "closed": pa.array(closed, stamp), "y": [1.0] * count}
    )


def read(path: Path, since: datetime | None, until: datetime) -> pd.DataFrame:
    source = DeltaSource(kind="delta", path=str(path))
    window = Window(since=since, until=until)
    return pd.concat([chunk.frame for chunk in read_source(source, ROLES, window)]).sort_values("id")


@pytest.mark.parametrize("partitioned", [False, True])
def test_files_without_statistics_of_their_times_are_read(tmp_path: Path, partitioned: bool) -> None:
    """Given a converted table of INT96 times, and a file that Delta added, when a window is read, then both count."""
    folder = tmp_path / "shop=a b" if partitioned else tmp_path
    folder.mkdir(exist_ok=True)
    pq.write_table(rows(0, 48), folder / "old.parquet", use_deprecated_int96_timestamps=True)
    shop = Schema([Field("shop", "string")])
    convert_to_deltalake(tmp_path, **({"partition_by": shop, "partition_strategy": "hive"} if partitioned else {}))
    later = rows(48, 48)
    write_deltalake(
        tmp_path, later.append_column("shop", pa.array(["a b"] * 48)) if partitioned else later, mode="append"
    )

    whole = read(tmp_path, None, START + timedelta(hours=96))
    assert whole["id"].tolist() == list(range(96))
    assert whole["closed"].isna().tolist() == [number % 3 == 0 for number in range(96)]
    assert whole["closed"].max() == START + timedelta(hours=96)
    assert not partitioned or set(whole["shop"]) == {"a b"}
    part = read(tmp_path, START + timedelta(hours=40), START + timedelta(hours=60))
    assert part["id"].tolist() == list(range(40, 60))


def test_a_row_without_a_time_in_a_delta_table_is_not_passed_over(tmp_path: Path) -> None:
    table = rows(0, 10)
    holed = pa.array(
        [None if number == 4 else at for number, at in enumerate(table["at"].to_pylist())], table["at"].type
    )
    write_deltalake(tmp_path, table.set_column(1, "at", holed))
    assert read(tmp_path, START + timedelta(days=9), START + timedelta(days=10))["id"].tolist() == [4]
