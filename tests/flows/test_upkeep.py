"""Upkeep takes away what nobody needs, and nothing that a champion or a turn was made from."""

import importlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.stories import FEBRUARY, MARCH, Story
from support.turns import sales

from everfit.flows.upkeep_flow import upkeep
from everfit.tasks.batch.trace import _version
from everfit.tasks.data.commit import commit_batch
from everfit.tasks.data.ingest import ingest
from everfit.tasks.data.validate import validate
from everfit.tasks.registry import model_registry
from everfit.tasks.turns.turn_record import TurnRecord

LONG = timedelta(days=200)


@pytest.fixture(autouse=True)
def _few_files() -> None:
    """Leave the partitions as everfit makes them: upkeep changes them."""


def tidy(story: Story, *, dry_run: bool = False) -> tuple[str, dict[str, Any]]:
    state = upkeep(story.path, None, dry_run, return_state=True)
    return str(state.name), state.result()


@pytest.mark.usefixtures("prefect_server")
def test_what_is_old_goes_and_what_the_champion_was_made_from_stays(story: Story):
    first, second, third = (
        (turn.id, TurnRecord.recall(turn.record).snapshot) for turn in story.context.ledger.turns.of("sales")
    )
    killed = story.train(datetime(2024, 4, 2, tzinfo=UTC), "killed")
    before = sorted(story.dataset()["id"])

    # All is young: only rows that turns have staged, and are done with, go; and small files are put together.
    name, done = tidy(story)
    assert name == "CleanedUp"
    assert (done["versions"], done["broken_turns"], sum(done["files"].values())) == ([], [], 0)
    assert done["turn_files"] > 0
    assert sorted(story.dataset()["id"]) == before
    staged = {path.parent.parent.name for path in Path(story.workspace.uri, "sales", "turns").rglob("*.npz")}
    assert staged == {killed[0]}

    # Half a year later.
    story.age(LONG)
    planned_name, planned = tidy(story, dry_run=True)
    assert story.is_whole(second[1])
    name, done = tidy(story)
    again = tidy(story)

    assert (planned_name, name, again[0]) == ("Planned", "CleanedUp", "NothingToDo")
    assert {**planned, "at": "", "state": ""} == {**done, "at": "", "state": ""}
    assert done["versions"] == [2]  # 1 serves, and the number of 3, the last, would be given again
    assert model_registry.versions(story.context.mlflow, "sales") == [1, 3]
    assert _version(story.context.mlflow, story.context.ledger, "sales", 2).trained_until == MARCH  # still to be traced
    # The champion's data stays, and that of a turn that isn't over; what the others changed is in neither.
    assert done["broken_turns"] == [second[0], third[0]]
    assert [story.is_whole(item[1]) for item in (first, second, third, killed)] == [True, False, False, True]
    decisions = story.context.ledger.decisions.of("sales", kind="upkeep")
    assert [one.record["ended"] for one in decisions] == [[], [second[0], third[0]]]
    assert f"turn {second[0]} can no longer be reproduced" in decisions[-1].reasons


@pytest.mark.usefixtures("prefect_server")
def test_rows_go_after_as_long_as_the_spec_says_but_not_from_the_champions_data(story: Story):
    (champion, *_) = (TurnRecord.recall(turn.record).snapshot for turn in story.context.ledger.turns.of("sales"))
    days = (datetime.now(UTC) - MARCH).days
    story.write_spec(upkeep={"keep": {"dataset": f"{days}d", "quarantine": "30d", "labels": "30d"}})

    name, done = tidy(story)

    assert name == "CleanedUp"
    assert done["rows"]["dataset"] == (MARCH - datetime(2024, 1, 1, tzinfo=UTC)).days * 24
    assert story.dataset()["at"].min() >= MARCH
    assert story.is_whole(champion)
    assert tidy(story)[0] == "NothingToDo"


POINTS = [
    "everfit.tasks.storage.tables:Table.remove",
    "everfit.tasks.storage.tables:Table.compact",
    "everfit.tasks.retention.table_upkeep:_vacuum",
    "everfit.tasks.registry.model_registry:delete",
    "everfit.tasks.retention.deletion:delete_files",
]
"""After whose first return the upkeep is broken off, in their order."""


@pytest.mark.usefixtures("prefect_server")
def test_broken_off_at_any_step_and_run_again_it_ends_as_if_left_alone(story: Story, monkeypatch: pytest.MonkeyPatch):
    first, second, third = (TurnRecord.recall(turn.record).snapshot for turn in story.context.ledger.turns.of("sales"))
    days = (datetime.now(UTC) - FEBRUARY).days
    story.age(LONG)
    story.write_spec(upkeep={"keep": {"dataset": f"{days}d"}})

    for point in POINTS:
        with monkeypatch.context() as broken:
            broken.setattr(*breaking(point))
            state = upkeep(story.path, return_state=True)
            assert isinstance(state.result(raise_on_failure=False), BrokenOffError), f"it did not come by {point}"
    tidy(story)

    assert tidy(story)[0] == "NothingToDo"
    assert model_registry.versions(story.context.mlflow, "sales") == [1, 3]
    assert [story.is_whole(item) for item in (first, second, third)] == [True, False, True]
    assert story.dataset()["at"].min() >= FEBRUARY


class BrokenOffError(Exception):
    """The process is gone."""


def breaking(point: str) -> tuple[Any, str, Any]:
    """What to replace, by something that does the same and then breaks off."""
    module, _, path = point.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    real = getattr(owner, name)

    def breaks(*arguments: Any, **named: Any) -> Any:
        result = real(*arguments, **named)
        if named.get("dry"):
            return result
        raise BrokenOffError(point)

    return owner, name, breaks


@pytest.mark.usefixtures("prefect_server")
def test_a_turn_that_has_compared_its_rows_before_takes_each_of_them_once(story: Story):
    rows = sales(2_100)
    rows.loc[rows.index % 7 == 0, "price"] += 5.0  # rows that upkeep is about to remove among them
    story.write("sales.csv", rows)
    until = datetime(2024, 4, 10, tzinfo=UTC)
    batch = ingest(story.spec, until, "beside", story.workspace)
    days = (datetime.now(UTC) - MARCH).days
    story.write_spec(upkeep={"keep": {"dataset": f"{days}d"}})

    assert tidy(story)[1]["rows"]["dataset"] > 0
    validation = validate(story.spec, batch, story.workspace)
    commit_batch(story.spec, batch, validation, story.workspace)

    result = story.dataset()
    assert result["id"].is_unique
    assert set(rows["id"][rows["at"] >= MARCH]) <= set(result["id"])
    expected = rows.set_index("id")["price"].loc[result["id"]]
    newer = result["at"] >= MARCH
    assert (result["price"][newer].to_numpy() == expected[newer.to_numpy()].to_numpy()).all()
