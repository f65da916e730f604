"""The log of a table says no value of a deleted row any more, and every version can be read as before."""

import json
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from everfit.tasks.retention.table_statistics import forget_statistics
from everfit.tasks.storage.tables import DAY, KEY, Table
from everfit.tasks.storage.workspace import Workspace


def rows(*names: str, first: int = 0) -> pd.DataFrame:
    keys = range(first, first + len(names))
    return pd.DataFrame({KEY: keys, "name": pd.array(names, dtype="str"), DAY: [date(2024, 1, 1)] * len(names)})


@pytest.mark.parametrize("checkpoint", [False, True])
def test_the_log_says_no_value_of_a_deleted_row(tmp_path: Path, checkpoint: bool) -> None:
    workspace = Workspace(str(tmp_path))
    table = workspace.table("sales", "dataset")
    table.append(rows("Anna", "Zoe Zimmermann"), "first")
    table.append(rows("Bob", "Cid", first=2), "second")
    if checkpoint:
        table.open().create_checkpoint()
    assert table.remove(f"{KEY} = 1") == 1
    log = Path(table.uri, "_delta_log")
    assert any(b"Zimmermann" in path.read_bytes() for path in log.glob("*.json"))

    assert forget_statistics(workspace, table) == 1
    assert forget_statistics(workspace, table) == 0

    assert not any(b"Zimmermann" in path.read_bytes() for path in log.glob("*.json"))
    assert not any("Zimmermann" in str(pq.read_table(path).to_pylist()) for path in log.glob("*.parquet"))
    actions = [json.loads(line) for line in (log / f"{1:020}.json").read_text().splitlines()]
    assert [json.loads(one["add"]["stats"]) for one in actions if "add" in one] == [{"numRecords": 2}]
    assert sorted(pd.concat(Table(table.uri).batches(columns=["name"]))["name"]) == ["Anna", "Bob", "Cid"]
    assert table.open(2).count() == 4
    table.append(rows("Dan", first=9), "third")
    assert table.open().count() == 4
