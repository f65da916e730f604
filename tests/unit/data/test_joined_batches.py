"""Ingestion with joins: the dataset has what was known at each event, and the books stay right."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from pydantic import ValidationError
from support.turns import Loop, sales

from everfit.blocks.errors import SourceError
from everfit.tasks.core.records import Window
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.data.commit import commit_batch, take_snapshot
from everfit.tasks.data.ingest import ingest
from everfit.tasks.data.validate import validate
from everfit.tasks.storage.workspace import Workspace

FEBRUARY, MARCH = (datetime(2024, month, 1, tzinfo=UTC) for month in (2, 3))


def prices(folder: Path, name: str = "rates.csv") -> pd.DataFrame:
    """Rates of two shops: one row a week, one of them loaded late, and one that is only known at the end."""
    frame = pd.DataFrame(
        {
            "store": ["north", "north", "north", "south"],
            "valid_from": ["2024-01-01", "2024-01-08", "2024-01-15", "2024-01-20T00:00:00Z"],
            "loaded_at": ["2024-01-01", "2024-01-10", "2025-01-01", "2024-01-20"],
            "rate": [1.0, 2.0, 99.0, 4.0],
        }
    )
    frame.to_csv(folder / name, index=False)
    return frame


def joins(folder: Path, **changes: Any) -> dict[str, Any]:
    join = {
        "source": {"path": str(folder / "rates.csv")},
        "on": {"shop": "store"},
        "as_of": "valid_from",
        "available_at": "loaded_at",
        "columns": ["rate"],
    }
    return {"kind": "files", "path": str(folder / "data"), "joins": [{**join, **changes}]}


def rates_at(loop: Loop) -> dict[str, list[Any]]:
    rows = loop.dataset()
    moments = pd.to_datetime(["2024-01-09", "2024-01-10", "2024-01-30"], utc=True)
    found = {}
    for shop in ("north", "south"):
        own = rows[rows["shop"] == shop].set_index("at")["rate"].sort_index()
        found[shop] = [None if pd.isna(value := own.asof(moment)) else value for moment in moments]
    return found


def test_the_example_of_the_documents_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page = (Path(__file__).parents[3] / "docs" / "getting-started.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    Path("late-orders.yaml").write_text(page.split("### Join other tables")[1].split("```yaml\n")[1].split("```")[0])
    at = pd.date_range("2024-01-01", periods=60, freq="D")
    orders = pd.DataFrame(
        {"order": range(60), "ordered_at": at, "customer": ["ann", "bob"] * 30, "late": [0, 1, 1] * 20}
    )
    orders.to_csv("orders.csv", index=False)
    pd.DataFrame(
        {
            "customer": ["ann", "ann", "bob"],
            "valid_from": ["2023-12-01", "2024-01-15", "2023-06-01"],
            "loaded_at": ["2023-12-02", "2024-01-20", "2023-06-02"],
            "rating": [3, 4, 5],
            "segment": ["new", "loyal", "loyal"],
        }
    ).to_csv("ratings.csv", index=False)
    spec = load_spec("late-orders.yaml")
    workspace = Workspace(str(tmp_path / "workspace"))

    batch = ingest(spec, MARCH, "turn", workspace)
    commit_batch(spec, batch, validate(spec, batch, workspace), workspace)

    rows = workspace.table(spec.name, "dataset").read().sort_values("order")
    ann, bob = (rows[rows["customer"] == name] for name in ("ann", "bob"))
    assert ann["rating"].tolist() == [3.0] * 10 + [4.0] * 20  # that of 15 January was loaded on the 20th
    assert bob["segment"].isna().all()  # older than 90 days


def test_the_dataset_has_what_was_known_at_each_event(tmp_path: Path):
    loop = Loop(tmp_path, source=joins(tmp_path))
    prices(tmp_path)
    loop.write("sales.csv", sales(24 * 30))

    batch, _ = loop.turn(FEBRUARY)

    # The row of 8 January was loaded on the 10th, and that of the 15th only a year later.
    assert rates_at(loop) == {"north": [1.0, 2.0, 2.0], "south": [None, None, 4.0]}
    assert batch.new == 24 * 30
    assert any(note.startswith("join shop: 492 of 720 rows have a joined row") for note in batch.notes)


@pytest.mark.slow
def test_a_later_turn_joins_as_the_first_did_and_its_snapshot_covers_the_joined_rows(tmp_path: Path):
    loop = Loop(tmp_path, source=joins(tmp_path))
    known = prices(tmp_path)
    loop.write("sales.csv", sales(24 * 30))
    loop.turn(FEBRUARY)
    window = Window(until=FEBRUARY)
    before = take_snapshot(loop.spec, window, loop.workspace)

    known.assign(rate=known["rate"] + 1).to_csv(tmp_path / "rates.csv", index=False)  # history is rewritten
    loop.write("sales.csv", sales(24 * 31))
    batch, _ = loop.turn(MARCH)
    after = take_snapshot(loop.spec, window, loop.workspace)

    assert batch.new == 24
    assert batch.changed == 492  # the corrected rates are corrections of the rows
    assert before.content_digest != after.content_digest
    past = take_snapshot(loop.spec, window, loop.workspace, before.version)
    assert past.content_digest == before.content_digest


def test_any_kind_of_source_can_be_joined(tmp_path: Path):
    database = f"sqlite:///{tmp_path / 'shop.db'}"
    prices(tmp_path).to_sql("rates", sa.create_engine(database), index=False)
    source = {"kind": "sql", "url": database, "table": "rates"}
    loop = Loop(tmp_path, source=joins(tmp_path, source=source))
    loop.write("sales.csv", sales(24 * 30))

    loop.turn(FEBRUARY)

    assert rates_at(loop) == {"north": [1.0, 2.0, 2.0], "south": [None, None, 4.0]}


@pytest.mark.slow
def test_a_joined_value_of_another_kind_puts_its_rows_aside(tmp_path: Path):
    loop = Loop(tmp_path, source=joins(tmp_path, available_at=None), expectations={"max_bad_share": 0.5})
    prices(tmp_path)
    loop.write("sales.csv", sales(100))
    loop.turn(datetime(2024, 1, 5, 4, tzinfo=UTC))
    prices(tmp_path).astype({"rate": object}).replace({"rate": {2.0: "two"}}).to_csv(
        tmp_path / "rates.csv", index=False
    )
    loop.write("sales.csv", sales(24 * 8))

    _, validation = loop.turn(datetime(2024, 1, 9, tzinfo=UTC))  # the loop holds the books to account

    assert validation.quarantined == 12
    assert "rate: 'two' is no number" in loop.quarantine()["_reasons"].iloc[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": ["price"]}, "join 'shop'.*has no column 'price'.*it has 'store', 'valid_from'"),
        ({"on": {"store": "store"}}, "has no column 'store', which the spec names; it has 'id'"),
        ({"source": {"path": "nowhere.csv"}}, "join 'shop': source.path 'nowhere.csv' matches no file"),
    ],
)
def test_a_join_that_can_not_be_made_is_one_sentence(tmp_path: Path, changes: dict[str, Any], message: str):
    loop = Loop(tmp_path, source=joins(tmp_path, **changes))
    prices(tmp_path)
    loop.write("sales.csv", sales(10))

    with pytest.raises(SourceError, match=message):
        loop.turn(FEBRUARY)


def test_a_joined_column_that_the_rows_have_already_is_an_error(tmp_path: Path):
    loop = Loop(tmp_path, source=joins(tmp_path))
    prices(tmp_path)
    loop.write("sales.csv", sales(10).assign(rate=1.0))

    with pytest.raises(SourceError, match="have a column 'rate' too; rename it"):
        loop.turn(FEBRUARY)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": ["y"]}, "'y' is the target and must be in the model's own source"),
        ({"columns": ["store"]}, "'store' is in `on`"),
        ({"within": "0s"}, "no row is as new as that"),
        ({"on": "y"}, "'y' is not known in the rows before the join"),
        ({"source": {"kind": "sql", "url": "postgresql://me:secret@db/x", "table": "t"}}, "env:NAME or block:NAME"),
    ],
)
def test_a_join_that_makes_no_sense_is_refused(tmp_path: Path, changes: dict[str, Any], message: str):
    with pytest.raises(ValidationError, match=message):
        _ = Loop(tmp_path, source=joins(tmp_path, **changes)).spec
