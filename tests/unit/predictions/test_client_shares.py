"""No client has more than its share of what counts, and no label that doesn't count hides one that does."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from everfit.blocks.clients import ClientsPolicy
from everfit.tasks.predictions import label_recording, labels
from everfit.tasks.predictions.client_shares import counted_shares, within_share
from everfit.tasks.storage.tables import Table

END = pd.Timestamp(2024, 3, 1, tz="UTC").to_pydatetime()


@pytest.mark.parametrize(
    ("counts", "most", "trusted", "expected"),
    [
        ({"shop": 1_000}, 0.5, (), {}),
        ({"shop": 50, "app": 50}, 0.5, (), {}),
        ({"shop": 900, "app": 100}, 1.0, (), {}),
        ({"shop": 900, "app": 100}, 0.5, (), {"shop": 100 / 900}),
        ({"shop": 900, "app": 100}, 0.1, (), {"shop": 100 / 900}),  # two clients can't have a tenth each
        ({"shop": 900, "batch": 100}, 0.5, ("batch",), {"shop": 100 / 900}),
        ({"shop": 100, "batch": 900}, 0.5, ("batch",), {}),
        ({"a": 600, "b": 300, "c": 100}, 0.4, (), {"a": 0.8 * 100 / (1 - 0.8) / 2 / 600, "b": 200 / 300}),
        ({"shop": 0}, 0.5, (), {}),
        ({}, 0.5, (), {}),
    ],
)
def test_a_client_is_limited_to_its_share_of_what_counts(
    counts: dict[str, int], most: float, trusted: tuple[str, ...], expected: dict[str, float]
) -> None:
    assert counted_shares(counts, most, trusted) == pytest.approx(expected)


def test_the_rows_that_count_are_drawn_by_key() -> None:
    keys, clients = np.arange(10_000), pd.Series(["shop"] * 9_000 + ["app"] * 1_000)
    counted = within_share(keys, clients, 0.5, ())
    order = np.random.default_rng(1).permutation(10_000)

    assert counted[9_000:].all()
    assert counted[:9_000].sum() == pytest.approx(1_000, rel=0.15)
    again = within_share(keys[order], clients[order].reset_index(drop=True), 0.5, ())
    assert (again == counted[order]).all()


def rows(keys: range, value: int, origin: str, day: int) -> pd.DataFrame:
    at = pd.Series([pd.Timestamp(2024, 2, day, tz="UTC")] * len(keys))
    return labels.label_rows(keys, pd.Series([value] * len(keys)), at, "binary", origin)


def known(table: Table, clients: ClientsPolicy, until: datetime = END) -> pd.Series:
    return labels.known_at(table, until, clients=clients)["_label"]


def test_an_ignored_client_hides_no_label_of_another(tmp_path: Path) -> None:
    table = Table(str(tmp_path / "labels"))
    label_recording.record_labels(table, rows(range(100), 1, "source", 1))
    label_recording.record_labels(table, rows(range(100), 0, "bad", 2))

    assert set(known(table, ClientsPolicy())) == {"0"}
    assert known(table, ClientsPolicy(ignored_labels=("bad",))).tolist() == ["1"] * 100


def test_a_client_that_labels_most_rows_is_limited_before_the_newest_label_is_chosen(tmp_path: Path) -> None:
    table = Table(str(tmp_path / "labels"))
    label_recording.record_labels(table, rows(range(200), 1, "office", 1))
    label_recording.record_labels(table, rows(range(2_000), 0, "bad", 2))

    counted = known(table, ClientsPolicy(max_share=0.5)).value_counts()

    assert known(table, ClientsPolicy()).value_counts().to_dict() == {"0": 2_000}
    assert counted["1"] >= 160  # the office's labels, but for the few that the other may still correct
    assert counted["0"] <= 260


def test_labels_of_the_queue_are_read_though_a_client_has_labelled_the_row_since(tmp_path: Path) -> None:
    table = Table(str(tmp_path / "labels"))
    label_recording.record_labels(table, rows(range(3), 1, "queue:q1", 1))
    label_recording.record_labels(table, rows(range(3), 0, "bad", 2))

    assert labels.known_at(table, END, origin=labels.QUEUE_ORIGIN)["_label"].tolist() == ["1"] * 3
