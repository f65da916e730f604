"""Rows that a function of the user's own has changed lie staged beside those that were read; both are forgotten."""

from datetime import UTC, datetime
from pathlib import Path

from support.turns import Loop, sales

from everfit.tasks.data.ingest import ingest
from everfit.tasks.data.transform import transform
from everfit.tasks.retention.key_rows import blank_staged, keys_of, staged_parts
from everfit.tasks.retention.upkeep_facts import staged_files

MARCH = datetime(2024, 3, 1, tzinfo=UTC)


def test_a_key_leaves_the_changed_rows_too_and_upkeep_finds_their_files(tmp_path: Path) -> None:
    loop = Loop(tmp_path)
    loop.write("sales.csv", sales(50))
    batch = ingest(loop.spec, MARCH, "t", loop.workspace)
    changed = transform(loop.spec, batch, lambda rows: rows.assign(price=0.0), loop.workspace)
    assert (batch.round, changed.round, changed.new) == (0, 1, 50)

    staged = staged_parts(loop.workspace, "sales")
    assert [(staging.turn_id, staging.round, parts) for staging, parts in staged] == [("t", 0, 1), ("t", 1, 1)]
    keys = keys_of(loop.spec, loop.workspace, {"id": "7"}).keys
    assert [blank_staged(staging, parts, keys) for staging, parts in staged] == [1, 1]
    assert [blank_staged(staging, parts, keys) for staging, parts in staged] == [0, 0]
    assert {path.rpartition("/turns/t/")[2] for path in staged_files(loop.workspace, "sales", "t")} >= {
        "batch/00000.arrow", "batch/1/00000.arrow", "batch/1/matched.npz",
    }  # fmt: skip
