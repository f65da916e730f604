"""A value that can't be brought to the kind of its column is named, and the good rows go on."""

from pathlib import Path

import numpy as np
import pytest
from support.turns import Loop
from support.ways_in import LATER, context_of, servable_of, table_of, write

from everfit.blocks.errors import DataError
from everfit.infra.serving.protocol import records_table
from everfit.tasks.batch.scoring import ScoringResult
from everfit.tasks.core.records import Window
from everfit.tasks.data.quarantine_acceptance import accept_rows
from everfit.tasks.data.recheck import recheck_dataset
from everfit.tasks.models.input_column import InputError
from everfit.tasks.retention.key_rows import require_readable
from everfit.tasks.scoring.set_aside import RowsSetAside
from everfit.tasks.storage.values import FAULTS


@pytest.mark.slow
def test_booleans_are_taken_as_true_and_false_or_1_and_0(members: Loop) -> None:
    servable = servable_of(members)
    inputs = servable.inputs

    given_as = [{"price": 1.5, "member": value} for value in (True, 1, "true", 1.0)]
    checked = inputs.check(records_table(given_as).columns, len(given_as))

    assert checked["member"] == [1.0, 1.0, 1.0, 1.0]
    with pytest.raises(InputError, match="column 'member', row 0: expected true or false, got 2"):
        inputs.check({"price": [1.5], "member": [2]}, 1)


@pytest.mark.slow
def test_infinite_numbers_of_an_earlier_version_leave_the_dataset_by_command(members: Loop) -> None:
    dataset = members.workspace.table("sales", "dataset")
    old = dataset.read().head(2)
    old["price"] = [np.inf, -1e300]
    dataset.supersede(old, "an earlier version")
    assert (dataset.read()["price"].abs() > 1e38).sum() == 2

    assert recheck_dataset(members.spec, members.workspace, LATER) == 2

    assert (members.count("dataset"), members.count("quarantine")) == (58, 2)
    assert (dataset.read()["price"].abs() < 1e38).all()
    assert sorted(members.quarantine()["_reasons"]) == [
        "price: '-1e+300' is too large to compute with; the largest number is 3.4e+38",
        "price: 'inf' is not finite",
    ]
    assert recheck_dataset(members.spec, members.workspace, LATER) == 0
    assert accept_rows(members.spec, members.workspace, LATER).still_bad == 2


def test_a_batch_scores_the_good_rows_and_sets_the_bad_ones_aside(members: Loop, tmp_path: Path) -> None:
    from everfit.tasks.batch.source_rows import read_rows
    from everfit.tasks.scoring.batch_scoring import ScoringBatch, score_window

    rows = table_of("numbers", ["price", "member"], 20).astype({"price": object, "at": str, "member": object})
    rows.loc[3, "price"], rows.loc[4, "price"], rows.loc[5, "at"] = "error 17", "inf", None
    rows.loc[6, "member"], rows.loc[7, "price"] = None, "1e300"
    members.changes["source"] = write(tmp_path / "data", "window", "csv", rows)
    log = members.workspace.table("sales", "predictions")

    batch = ScoringBatch(Window(until=LATER))
    added, aside = score_window(servable_of(members).scorer, read_rows(context_of(members), batch.window), log, batch)

    assert (added, aside.count, aside.read) == (16, 4, 20)
    assert [(one.row, one.reason) for one in aside.rows] == [
        ("id=1003", "price: 'error 17' is no number"),
        ("id=1004", "price: 'inf' is not finite"),
        ("id=1005", "at: the row has no event time"),
        ("id=1007", "price: '1e300' is too large to compute with; the largest number is 3.4e+38"),
    ]
    assert FAULTS not in log.columns()


def test_a_key_of_another_kind_than_the_data_has_deletes_nothing(members: Loop) -> None:
    for value in ("01000", "A7", "", "1000.5"):
        with pytest.raises(DataError, match="is no whole number, as the keys of sales are; write the key as the data"):
            require_readable(members.spec, members.workspace, {"id": value})
    for value in ("1000", " 1000 ", "1000.0"):
        require_readable(members.spec, members.workspace, {"id": value})


def test_rows_read_are_rows_predicted_known_and_set_aside() -> None:
    window, aside = Window(until=LATER), RowsSetAside(read=40, count=3)
    assert ScoringResult.of(window, 1, 30, aside).known == 7
