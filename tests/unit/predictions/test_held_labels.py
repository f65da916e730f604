"""Labels that a look holds answer as the table does."""

import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.logs import EVENT_TIME, answered, log_answers, log_labels

from everfit.blocks.clients import ClientsPolicy
from everfit.tasks.core.records import Window
from everfit.tasks.predictions import held_labels
from everfit.tasks.predictions.held_labels import AskedRows, HeldLabels, holding
from everfit.tasks.predictions.labels import LABEL, LABEL_TIME, known_at
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.storage.tables import Table

UNTIL = datetime(2024, 3, 8, 12, tzinfo=UTC)
WINDOW = Window(since=datetime(2024, 3, 2, tzinfo=UTC), until=datetime(2024, 3, 9, tzinfo=UTC))


@pytest.fixture
def rows() -> pd.DataFrame:
    return answered("2024-03-01", 600, days=8)


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: pd.DataFrame) -> tuple[Table, HeldLabels]:
    """Labels of all rows, corrections of some, and one that was known before its row, in many files."""
    monkeypatch.setattr("everfit.tasks.storage.table_parts.PART_ROWS", 100)
    log = log_answers(tmp_path, rows)
    log_labels(tmp_path, rows)
    again = rows[::5].assign(label=1 - rows["label"], known_at=rows["known_at"] + pd.Timedelta("6h"))
    log_labels(tmp_path, again)
    known = log_labels(tmp_path, rows[300:301].assign(known_at=pd.Timestamp("2024-01-01", tz="UTC")))
    asked = AskedRows(log, EVENT_TIME, (WINDOW,), LABEL_TIME, UNTIL)
    return known, holding(known, asked)


def keys_of(rows: pd.DataFrame) -> "pd.Series[int]":
    return pd.Series(np.asarray(row_keys(rows, ["id"])))


@pytest.mark.parametrize("clients", [None, ClientsPolicy(max_share=0.5), ClientsPolicy(ignored_labels=("test",))])
def test_what_is_held_is_what_the_table_has(
    tables: tuple[Table, HeldLabels], rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, clients: Any
) -> None:
    table, held = tables
    inside = rows[rows[EVENT_TIME] >= pd.Timestamp("2024-03-03", tz="UTC")]
    wanted = keys_of(inside)
    expected = known_at(table, UNTIL, wanted, clients=clients)
    got = known_at(held, UNTIL, wanted, clients=clients)

    monkeypatch.setattr(Table, "batches", lambda *_, **__: pytest.fail("the labels were read again"))
    again = known_at(held, UNTIL, wanted[::2], clients=clients)

    pd.testing.assert_frame_equal(got, expected)
    assert len(again) == expected["_key"].isin(wanted[::2]).sum()
    assert len(expected) == 0 if clients and clients.ignored_labels else len(expected) > 300


def test_workers_get_the_request_and_no_labels(tables: tuple[Table, HeldLabels], rows: pd.DataFrame) -> None:
    _, held = tables
    known_at(held, UNTIL, keys_of(rows[300:310]))
    sent = pickle.dumps(held)

    assert len(sent) < 2_000
    assert pickle.loads(sent) == held  # noqa: S301


@pytest.mark.parametrize("reason", ["another moment", "other rows", "too many rows", "too many labels"])
def test_the_table_is_read_for_what_is_not_held(
    tables: tuple[Table, HeldLabels], rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    table, held = tables
    until = datetime(2024, 3, 5, tzinfo=UTC) if reason == "another moment" else UNTIL
    wanted = keys_of(rows if reason == "other rows" else rows[300:310])
    if reason == "too many rows":
        monkeypatch.setattr(held_labels, "MOST", 100)
    if reason == "too many labels":
        monkeypatch.setattr(held_labels, "_MOST_LABELS", 100)

    assert held_labels.held_of(held, pd.Index(wanted), until) is None
    pd.testing.assert_frame_equal(known_at(held, until, wanted), known_at(table, until, wanted))
    assert known_at(held, until, wanted)[LABEL].notna().all()
