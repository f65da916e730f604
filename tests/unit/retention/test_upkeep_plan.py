"""What may go and what must stay, from frozen facts."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from support.training import a_spec

from everfit.blocks.upkeep import UpkeepPolicy
from everfit.tasks.retention.upkeep_facts import _holds_rows, _is_copy, _turns_with, model_copies
from everfit.tasks.retention.upkeep_plan import DayFacts, Facts, TableFacts, TurnFacts, plan_upkeep
from everfit.tasks.storage.workspace import Workspace

AT = datetime(2024, 6, 1, tzinfo=UTC)
POLICY = UpkeepPolicy.model_validate({"history": "30d"})


def a_turn(number: int, days_ago: float | None, **changes: Any) -> TurnFacts:
    """Turn `t3` registered version 3 from version 30 of the dataset."""
    ended = None if days_ago is None else AT - timedelta(days=days_ago)
    kept = {"staged": True, "copies": True} | changes
    return TurnFacts(id=f"t{number}", ended_at=ended, version=number, snapshot=10 * number, **kept)


def facts(*turns: TurnFacts, needed: tuple[int, ...] = (), tables: tuple[TableFacts, ...] = ()) -> Facts:
    versions = tuple(turn.version for turn in turns if turn.version is not None)
    return Facts(model="m", at=AT, tables=tables, turns=turns, versions=versions, needed=frozenset(needed))


def test_what_a_champion_was_made_from_stays_and_an_old_challenger_goes():
    result = plan_upkeep(facts(a_turn(1, 200), a_turn(2, 100), a_turn(3, 90), a_turn(4, 5), needed=(2,)), POLICY)

    assert result.keep_snapshots == (20, 40)
    assert result.delete_versions == (1, 3)
    assert result.delete_models == ("t1", "t3")
    assert result.delete_staged == ("t1", "t2", "t3", "t4")


def test_a_turn_that_is_not_over_or_waits_keeps_all_that_it_needs():
    broken_off, waiting = a_turn(1, None), a_turn(2, 100, waits=True)
    result = plan_upkeep(facts(broken_off, waiting, a_turn(3, 100), a_turn(4, 1)), POLICY)

    assert result.keep_snapshots == (10, 20, 40)
    assert result.delete_versions == (3,)
    assert result.delete_staged == ("t2", "t3", "t4")


def test_the_last_version_stays_for_its_number_would_be_given_again():
    result = plan_upkeep(facts(a_turn(1, 100), a_turn(2, 90)), POLICY)

    assert result.delete_versions == (1,)


def test_a_version_that_everfit_did_not_register_is_left_alone():
    reported = facts(a_turn(2, 90), a_turn(3, 1)).model_copy(update={"versions": (1, 2, 3)})

    assert plan_upkeep(reported, POLICY).delete_versions == (2,)


def test_rows_go_by_the_day_and_small_files_of_what_stays_become_one():
    days = tuple(
        DayFacts(day=date(2024, month, 1), files=files, rows=100) for month, files in ((1, 3), (2, 1), (5, 4), (6, 1))
    )
    tables = tuple(TableFacts(name=name, days=days) for name in ("dataset", "predictions"))
    policy = UpkeepPolicy.model_validate({"keep": {"predictions": "60d"}})

    dataset, predictions = plan_upkeep(facts(tables=tables), policy).tables

    assert (dataset.delete_before, dataset.rows, dataset.days) == (None, 0, 2)
    assert (predictions.delete_before, predictions.rows, predictions.days) == (date(2024, 4, 2), 200, 1)


def test_planned_again_after_it_was_done_nothing_is_left_to_do():
    done = TableFacts(name="labels", days=(DayFacts(day=date(2024, 5, 1), files=1, rows=9),))
    before, after = ({"staged": False, "copies": copies} for copies in (True, False))
    policy = UpkeepPolicy.model_validate({"keep": {"labels": "60d"}})
    last = a_turn(2, 1, staged=False)
    result = plan_upkeep(facts(a_turn(1, 100, **before), last, tables=(done,)), policy)
    broken_off, again = (
        plan_upkeep(facts(a_turn(1, 100, **left), last, tables=(done,)).model_copy(update={"versions": (2,)}), policy)
        for left in (before, after)
    )

    assert (result.delete_versions, result.delete_models) == ((1,), ("t1",))
    assert (broken_off.delete_versions, broken_off.delete_models) == (
        (),
        ("t1",),
    )  # after the version, before its copies
    assert (again.delete_versions, again.delete_staged, again.delete_models) == ((), (), ())
    assert (again.tables[0].delete_before, again.tables[0].days) == (None, 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"upkeep": {"history": "2h"}}, "less than a day"),
        ({"upkeep": {"keep": {"labels": "1h"}}}, "whole days are deleted"),
        ({"upkeep": {"keep": {"dataset": "90d"}}, "training": {"window": "90d"}}, "keep.dataset: '90d' is too short"),
        ({"upkeep": {"keep": {"predictions": "7d"}}}, "keep.predictions: '7d' is too short, since maturity and"),
    ],
)
def test_a_spec_that_would_remove_what_is_needed_is_refused(changes: dict[str, Any], words: str):
    with pytest.raises(ValidationError, match=words):
        a_spec(**changes)


def test_what_turns_have_left_in_their_folders_is_found(tmp_path: Path):
    workspace = Workspace(str(tmp_path))
    for turn, name in (
        ("a", "challenger.skops"),
        ("b", "batch/0.parquet"),
        ("c", "spec.json"),
        ("d", "refitted.skops"),
        ("d", "challenger-1.skops"),
        ("d", "challenger.skops.0-2"),
    ):
        workspace.write(workspace.turn_file("m", turn, name), b"")

    assert _turns_with(workspace, "m", _is_copy) == {"a", "d"}
    names = sorted(Path(path).name for path in model_copies(workspace, "m", "d"))
    assert names == ["challenger-1.skops", "challenger.skops.0-2", "refitted.skops"]
    assert model_copies(workspace, "m", "gone") == []
    assert _turns_with(workspace, "m", _holds_rows) == {"b"}
    assert _turns_with(workspace, "another", _holds_rows) == set()
