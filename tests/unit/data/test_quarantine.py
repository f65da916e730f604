"""The quarantine: seen by reason, released once it is good, discarded for good, and never twice."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.turns import Loop, sales

from everfit.blocks.spec import ModelSpec
from everfit.tasks.data.quarantine import discard, open_rows, quarantine_groups
from everfit.tasks.data.quarantine_acceptance import accept_rows, refused_rows
from everfit.tasks.data.staged_batch import Batch
from everfit.tasks.data.suite import infer_suite, keep_suite, loosest
from everfit.tasks.data.validate import Validation, validate
from everfit.tasks.storage.workspace import Workspace

FEBRUARY, MARCH, APRIL = (datetime(2024, month, 1, tzinfo=UTC) for month in (2, 3, 4))
BOUND = "expect_column_values_to_be_between"


def bounded(folder: Path, most: float) -> Loop:
    suite = [{"type": BOUND, "kwargs": {"column": "price", "max_value": most}}]
    return Loop(folder, expectations={"suite": suite})


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    """100 sales, three of them dearer than the suite allows, one so by far."""
    made = bounded(tmp_path, 100)
    rows = sales(100)
    rows.loc[[3, 4], "price"] = 150.0
    rows.loc[5, "price"] = 5000.0
    made.write("sales.csv", rows)
    made.turn(FEBRUARY)
    return made


def test_rows_lie_by_reason_with_samples_and_where_they_came_from(loop: Loop):
    (pile,) = quarantine_groups("sales", loop.workspace)

    assert (pile.rows, pile.batch_refused, pile.turns) == (3, False, ("turn-2024020100",))
    assert pile.reason.startswith(f"{BOUND}(column=price")
    assert '"price":150.0' in pile.samples[0]
    assert loop.quarantine()["_source"].str.endswith("sales.csv").all()


@pytest.mark.slow
def test_what_is_listed_for_a_reason_is_what_is_settled_for_it(tmp_path: Path):
    # Half of them are too dear, so the batch is refused: the others lie there for its sake.
    loop = bounded(tmp_path, 100)
    rows = sales(100)
    rows.loc[:49, "price"] = 150.0
    loop.write("sales.csv", rows)
    loop.turn(FEBRUARY)
    listed = quarantine_groups("sales", loop.workspace)

    assert [pile.rows for pile in listed] == [50, 50]
    for reason in ("", BOUND, *(pile.reason for pile in listed), "of the batch", "of something else"):
        for turn in (None, *listed[0].turns, "another"):
            shown = quarantine_groups("sales", loop.workspace, reason=reason, turn_id=turn)
            assert sum(pile.rows for pile in shown) == len(
                open_rows(loop.workspace.table("sales", "quarantine"), reason, turn)
            )
            assert all(reason in pile.reason for pile in shown)


@pytest.mark.slow
def test_once_the_suite_was_mended_good_rows_are_released_and_bad_ones_stay(loop: Loop, tmp_path: Path):
    mended = bounded(tmp_path, 1000)
    mended.changes["expectations"]["max_bad_share"] = 0.5

    released = accept_rows(mended.spec, loop.workspace, MARCH)
    again = accept_rows(mended.spec, loop.workspace, APRIL)

    assert (released.rows, released.accepted, released.still_bad) == (3, 2, 1)
    assert (again.rows, again.accepted) == (1, 0)
    assert loop.count("dataset") == 99
    assert loop.dataset().loc[3, "price"] == 150.0
    (pile,) = quarantine_groups("sales", loop.workspace)
    assert pile.rows == 1


def test_what_was_discarded_is_not_quarantined_again(loop: Loop):
    lie_open = open_rows(loop.workspace.table("sales", "quarantine"))
    assert discard(loop.workspace.table("sales", "quarantine"), lie_open, "person:ann") == 3
    rows = sales(101)
    rows.loc[[3, 4], "price"] = 150.0
    rows.loc[5, "price"] = 5000.0
    loop.write("sales.csv", rows)

    batch, _ = loop.turn(MARCH)

    assert (batch.new, batch.duplicates) == (1, 100)
    assert not quarantine_groups("sales", loop.workspace)
    assert set(loop.quarantine()["_resolved_by"]) == {"person:ann"}


def test_a_release_that_another_turn_comes_before_loses_no_row(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    mended = bounded(tmp_path, 10_000)
    late = sales(110)

    def another_first(spec: ModelSpec, batch: Batch, workspace: Workspace) -> Validation:
        result = validate(spec, batch, workspace)
        loop.write("more.csv", late.tail(10))
        loop.turn(MARCH)
        return result

    monkeypatch.setattr("everfit.tasks.data.quarantine_acceptance.validate", another_first)
    released = accept_rows(mended.spec, loop.workspace, APRIL)

    assert (released.rows, released.accepted) == (3, 3)
    assert list(loop.dataset()["id"]) == list(range(110))
    assert not quarantine_groups("sales", loop.workspace)


@pytest.mark.slow
def test_a_suite_that_refused_rows_meet_too_lets_them_in(tmp_path: Path) -> None:
    # Given rows whose price comes empty for good, which the inferred suite refuses,
    loop = Loop(tmp_path)
    rows = sales(150)
    loop.write("sales.csv", rows.head(100))
    loop.turn(FEBRUARY)
    rows.loc[100:, "price"] = None
    loop.write("more.csv", rows.tail(50))
    _, refused = loop.turn(MARCH)
    assert not refused.passed

    # when the suite is proposed from them as well,
    result = refused_rows(loop.spec, loop.workspace, 1_000)
    assert (len(result), result["price"].notna().sum()) == (50, 0)
    assert len(refused_rows(loop.spec, loop.workspace, 10)) <= 10
    keep_suite(
        loop.spec, loosest(infer_suite(loop.dataset(), loop.spec), infer_suite(result, loop.spec)), loop.workspace
    )

    # then they are accepted, and a proposal from the dataset alone would have refused them again.
    accepted = accept_rows(loop.spec, loop.workspace, APRIL)
    assert (accepted.rows, accepted.accepted) == (50, 50)
    assert refused_rows(loop.spec, loop.workspace, 10).empty


@pytest.mark.slow
def test_a_value_that_could_not_be_read_is_not_accepted_as_missing(tmp_path: Path) -> None:
    # Given a price without end, one that is no number, and a row of which nobody knows when it was,
    loop = bounded(tmp_path, 100)
    rows = sales(200).astype({"price": object, "at": str})
    rows.loc[3, "price"], rows.loc[4, "price"], rows.loc[5, "at"] = "inf", "dear", "soon"
    loop.write("sales.csv", rows)
    loop.turn(FEBRUARY)
    reasons = {"price: 'inf' is not finite", "price: 'dear' is no number", "at: 'soon' is not a time"}
    assert {pile.reason for pile in quarantine_groups("sales", loop.workspace)} == reasons

    # when somebody accepts what is good now,
    result = accept_rows(loop.spec, loop.workspace, MARCH)

    # then they stay, with the same reasons, until the source has a better value.
    assert (result.rows, result.accepted, result.still_bad) == (3, 0, 3)
    piles = quarantine_groups("sales", loop.workspace)
    assert {pile.reason for pile in piles} == reasons
    assert not any("_faults" in sample for pile in piles for sample in pile.samples)
    assert loop.count("dataset") == 197
    loop.write("sales.csv", sales(200))
    loop.turn(APRIL)
    assert loop.count("dataset") == 200
    assert not quarantine_groups("sales", loop.workspace)


def test_a_row_that_an_earlier_version_set_aside_is_not_accepted_as_missing(tmp_path: Path) -> None:
    # Given a price that is no number, in a quarantine that kept the reason beside the row alone,
    loop = bounded(tmp_path, 100)
    rows = sales(200).astype({"price": object})
    rows.loc[4, "price"] = "dear"
    loop.write("sales.csv", rows)
    loop.turn(FEBRUARY)
    table = loop.workspace.table("sales", "quarantine")
    old = loop.quarantine()
    content = json.loads(old["_row"].iloc[0])
    del content["_faults"]
    table.supersede(old.assign(_row=[json.dumps(content)]), "an earlier version")

    result = accept_rows(loop.spec, loop.workspace, MARCH)

    assert (result.rows, result.accepted, result.still_bad) == (1, 0, 1)
    assert loop.count("dataset") == 199


def test_open_rows_of_a_turn_are_found_after_others_were_deleted(loop: Loop) -> None:
    table = loop.workspace.table("sales", "quarantine")
    gone = int(loop.quarantine()["_key"].iloc[0])

    table.remove(f"_key IN ({gone})")

    assert len(open_rows(table, turn_id="turn-2024020100")) == 2
    assert open_rows(table, turn_id="another").empty
