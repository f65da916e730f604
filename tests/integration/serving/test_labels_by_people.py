"""The labels that people give: several must agree, wrong ones are replaced, and all are learned from."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.queued_labels import UNTIL, answered_flights, make, with_queue

from everfit.blocks.errors import DataError
from everfit.tasks.batch import label_answers, returned_labels
from everfit.tasks.data.commit import commit_batch
from everfit.tasks.data.ingest import ingest
from everfit.tasks.data.validate import validate
from everfit.tasks.predictions import label_recording, labels
from everfit.tasks.predictions.label_files import GivenLabel
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.turns.context import Context


@pytest.fixture
def rows(made_up: Any) -> pd.DataFrame:
    return made_up(2000)


@pytest.fixture
def context(registry: Any, workspace: Path, rows: pd.DataFrame) -> Context:
    return answered_flights(registry, rows)


def test_a_label_counts_when_two_people_agree(context: Context) -> None:
    both = with_queue(context, people=2)
    queue, _ = make(both, 4)
    ids = [row.prediction_id for row in queue.rows]
    now = datetime.now(UTC)

    def said(by: str, *given: str | None, after: int = 0) -> Any:
        rows = [GivenLabel(name, label) for name, label in zip(ids, given, strict=True)]
        return returned_labels.record_returned(both, rows, now + timedelta(seconds=after), by=by)

    first = said("ann", "1", "0", "1", None)
    assert (first.recorded.added, first.waiting, first.conflicts) == (0, 3, ())
    again = said("Ann", "1", "0", "1", None, after=1)
    assert (again.recorded.added, again.waiting) == (0, 3)  # one person is no two
    second = said("ben", "1", "1", None, "0", after=2)
    assert (second.recorded.added, second.waiting) == (1, 2)
    assert [(one.prediction_id, one.given, one.by) for one in second.conflicts] == [
        (ids[1], ("0", "1"), ("ann", "ben"))
    ]
    still = returned_labels.open_conflicts(both, now + timedelta(seconds=3))
    assert (still.conflicts, still.waiting) == (second.conflicts, 2)  # and they stay in sight
    third = said("eve", None, "1", "1", "0", after=3)
    assert (third.recorded.added, third.waiting, third.conflicts) == (3, 0, ())
    known = labels.known_at(both.workspace.table("delays", "labels"), now + timedelta(days=1)).set_index("_key")
    assert [known.loc[row.key, "_label"] for row in queue.rows] == ["1", "1", "1", "0"]

    with pytest.raises(DataError, match="--by NAME"):
        said("", "1", "1", "1", "1", after=4)
    assert label_answers.forget_answers(both.workspace, "delays", {queue.rows[0].key}) == 3
    assert ids[0] not in label_answers.read_opinions(both.workspace, "delays")
    assert len(label_answers.read_opinions(both.workspace, "delays")[ids[1]].by) == 3


def test_a_row_whose_label_came_from_elsewhere_waits_for_nobody(context: Context) -> None:
    both = with_queue(context, people=2)
    queue, _ = make(both, 3)
    now = datetime.now(UTC)
    rows = [GivenLabel(row.prediction_id, given) for row, given in zip(queue.rows, ("1", "0", "1"), strict=True)]
    returned_labels.record_returned(both, rows, now, by="ann")
    returned_labels.record_returned(both, [GivenLabel(queue.rows[1].prediction_id, "1")], now, by="ben")
    before = returned_labels.open_conflicts(both, now)
    assert (before.waiting, len(before.conflicts)) == (2, 1)

    keys = [row.key for row in queue.rows[:2]]
    came = labels.label_rows(keys, pd.Series(["1", "0"]), pd.Series([pd.Timestamp(now)] * 2), "binary", "source")
    label_recording.record_labels(both.workspace.table("delays", "labels"), came)

    after = returned_labels.open_conflicts(both, now)
    assert (after.waiting, after.conflicts) == (1, ())
    again = returned_labels.record_returned(both, rows[2:], now + timedelta(seconds=1), by="ann")
    assert (again.waiting, again.conflicts) == (1, ())


def test_a_replaced_label_takes_the_place_of_the_sources_in_the_training_set(
    context: Context, rows: pd.DataFrame
) -> None:
    def turn(name: str) -> Any:
        batch = ingest(context.spec, datetime.now(UTC), name, context.workspace)
        commit_batch(context.spec, batch, validate(context.spec, batch, context.workspace), context.workspace)
        return context.workspace.table("delays", "dataset").read().set_index("flight").sort_index()["late"]

    before = turn("first")
    assert before[0] == 1  # the source's label of flight 0
    key = row_keys(rows.loc[[0], ["flight"]], ["flight"])
    replaced = labels.label_rows(key, pd.Series(["0"]), pd.Series([pd.Timestamp(UNTIL)]), "binary", "queue:replaced:q")
    label_recording.record_labels(context.workspace.table("delays", "labels"), replaced)

    after = turn("second")
    assert after[0] == 0
    assert after.drop(0).dropna().tolist() == before.drop(0).dropna().tolist()
    source = pd.read_csv("flights.csv", dtype=str, keep_default_na=False)
    source.assign(seats=source["seats"].astype(float) + 1).to_csv("flights.csv", index=False)
    assert turn("third")[0] == 0  # though the source gives its row again


def test_what_people_have_said_is_in_the_next_training_set(context: Context, rows: pd.DataFrame) -> None:
    def turn(name: str) -> Any:
        batch = ingest(context.spec, datetime.now(UTC), name, context.workspace)
        commit_batch(context.spec, batch, validate(context.spec, batch, context.workspace), context.workspace)
        return batch

    def dataset() -> pd.DataFrame:
        return context.workspace.table("delays", "dataset").read().set_index("flight").sort_index()

    assert turn("first").new == 20
    # Of the source's rows 12 to 14 are labelled by hand, and 1000 to 1002, which the source doesn't have.
    chosen = [12, 13, 14, 1000, 1001, 1002]
    keys = row_keys(rows.loc[chosen, ["flight"]], ["flight"])
    label_rows_ = labels.label_rows(
        keys,
        pd.Series(["1", "0"] * 3),
        pd.Series([pd.Timestamp(UNTIL)] * 6),
        "binary",
        "queue:q",
        inclusion=pd.Series([0.5] * 6),
    )
    label_recording.record_labels(context.workspace.table("delays", "labels"), label_rows_)
    before = dataset()
    batch = turn("second")

    assert (batch.new, batch.changed) == (3, 3)
    after = dataset()
    assert after.loc[chosen, "late"].tolist() == [1, 0] * 3
    assert after["late"].notna().sum() == before["late"].notna().sum() + 6
    assert np.isclose(after.loc[1000, "distance"], rows.loc[1000, "distance"])
    untouched = before.index.difference(chosen)
    pd.testing.assert_frame_equal(
        after.loc[untouched].drop(columns=["_turn"]), before.loc[untouched].drop(columns=["_turn"]), check_dtype=False
    )
    assert turn("third").fresh == 0  # and they stay,
    source = pd.read_csv("flights.csv", dtype=str, keep_default_na=False)
    pd.concat([source, source.tail(1).assign(flight="20")]).to_csv("flights.csv", index=False)
    batch = turn("fourth")  # though the source gives its rows again, which doesn't know of them
    assert (batch.read, batch.new, batch.changed) == (21, 1, 0)
    assert dataset().loc[chosen, "late"].tolist() == [1, 0] * 3
