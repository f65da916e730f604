"""Upkeep takes away what nobody needs, and nothing that a champion or a turn was made from."""

import importlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.aging import age_ledger, age_tables
from support.turns import Loop, sales

from everfit.blocks.settings import Settings
from everfit.flows.upkeep import upkeep
from everfit.tasks.context import Context
from everfit.tasks.data.accept import accept, take_snapshot
from everfit.tasks.data.ingest import ingest
from everfit.tasks.data.validate import validate
from everfit.tasks.records import ModelVersion, Snapshot, Trigger, Window
from everfit.tasks.releasing import registry
from everfit.tasks.specs import load_spec
from everfit.tasks.turns import TurnRecord
from everfit.tasks.workspace import Workspace

FEBRUARY, MARCH, APRIL = (datetime(2024, month, 1, tzinfo=UTC) for month in (2, 3, 4))
LONG = timedelta(days=200)


class Story(Loop):
    """Sales whose model is retrained each month; only what training leaves is written, and no model is fitted."""

    def __init__(self, folder: Path, workspace: Path, **changes: Any) -> None:
        super().__init__(folder, **changes)
        self.workspace = Workspace(str(workspace))
        self.path = str(folder / "sales.yaml")
        self.write_spec()

    def write_spec(self, **changes: Any) -> None:
        self.changes |= changes
        Path(self.path).write_text(yaml.safe_dump(self.spec.content()))

    @property
    def context(self) -> Context:
        return Context(load_spec(self.path), Settings())

    def train(self, until: datetime, state: str) -> tuple[str, Snapshot]:
        """A turn that took in what is new, registered a version, and ended in a state."""
        here, window = self.context, Window(until=until)
        ledger, client = here.ledger, here.mlflow
        with ledger.take_turn("sales", Trigger(), window) as turn:
            self.turn(until, turn.id)
            snapshot = take_snapshot(self.spec, window, self.workspace)
            if state == "killed":
                path = self.workspace.turn_file("sales", turn.id, "snapshot.json")
                self.workspace.write(path, snapshot.canonical_json().encode())
                return turn.id, snapshot
            if not registry.versions(client, "sales"):
                client.create_registered_model("sales")
            made = int(client.create_model_version("sales", "file:///none").version)
            version = ModelVersion(model="sales", version=made, run_id="", trained_until=until)
            ledger.finish_turn(turn, state=state, record=TurnRecord(snapshot=snapshot, version=version))
            if state == "Promoted":
                with ledger.lease("sales", scope="release") as lease:
                    current = ledger.current_release("sales")
                    entry = ledger.intend_release(
                        version,
                        expected_previous=current.seq if current else None,
                        previous_version=current.version if current else None,
                        kind="promotion",
                        reason="",
                        actor="gate",
                        lease=lease,
                    )
                    registry.set_alias(client, "sales", registry.CHAMPION, made)
                    ledger.advance_release(
                        ledger.advance_release(entry, "alias_set", lease=lease), "verified", lease=lease
                    )
            return turn.id, snapshot

    def age(self, span: timedelta) -> None:
        age_tables(Path(self.workspace.uri) / "sales", span)
        age_ledger(Path(self.workspace.uri) / "ledger.db", span)

    def is_whole(self, snapshot: Snapshot) -> bool:
        try:
            again = take_snapshot(self.spec, snapshot.window, self.workspace, snapshot.version)
        except Exception:  # noqa: BLE001 - a file that is gone is told by whoever reads it
            return False
        return again.content_digest == snapshot.content_digest


@pytest.fixture
def story(workspace: Path, mlflow_uri: str) -> Story:
    """A champion of February; challengers of March and April that were not good enough; each changed old rows."""
    told = Story(workspace.parent, workspace)
    rows = sales(2_000)
    told.write("sales.csv", rows.head(700))
    told.train(FEBRUARY, "Promoted")
    for until, count, state in ((MARCH, 1_400, "ChampionKept"), (APRIL, 2_000, "ChampionKept")):
        rows.loc[rows.index % 24 == until.month, "price"] += 1.0
        told.write("sales.csv", rows.head(count))
        told.train(until, state)
    return told


def tidy(story: Story, *, dry_run: bool = False) -> tuple[str, dict[str, Any]]:
    state = upkeep(story.path, None, dry_run, return_state=True)
    return str(state.name), state.result()


@pytest.mark.usefixtures("prefect_server")
def test_what_is_old_goes_and_what_the_champion_was_made_from_stays(story: Story):
    first, second, third = (
        (turn.id, TurnRecord.recall(turn.record).snapshot) for turn in story.context.ledger.turns("sales")
    )
    killed = story.train(datetime(2024, 4, 2, tzinfo=UTC), "killed")
    before = sorted(story.dataset()["id"])

    # All is young: only rows that turns have staged, and are done with, go; and small files are put together.
    name, done = tidy(story)
    assert name == "TidiedUp"
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

    assert (planned_name, name, again[0]) == ("Planned", "TidiedUp", "NothingToDo")
    assert {**planned, "at": "", "state": ""} == {**done, "at": "", "state": ""}
    assert done["versions"] == [2]  # 1 serves, and the number of 3, the last, would be given again
    assert registry.versions(story.context.mlflow, "sales") == [1, 3]
    assert done["broken_turns"] == [second[0]]
    assert [story.is_whole(each[1]) for each in (first, second, third, killed)] == [True, False, True, True]
    decisions = story.context.ledger.decisions("sales", kind="upkeep")
    assert [one.record["ended"] for one in decisions] == [[], [second[0]]]
    assert f"turn {second[0]} can't be reproduced any more" in decisions[-1].reasons


@pytest.mark.usefixtures("prefect_server")
def test_rows_go_after_as_long_as_the_spec_says_but_not_from_the_champions_data(story: Story):
    (champion, *_) = (TurnRecord.recall(turn.record).snapshot for turn in story.context.ledger.turns("sales"))
    days = (datetime.now(UTC) - MARCH).days
    story.write_spec(upkeep={"keep": {"dataset": f"{days}d", "quarantine": "30d", "labels": "30d"}})

    name, done = tidy(story)

    assert name == "TidiedUp"
    assert done["rows"]["dataset"] == (MARCH - datetime(2024, 1, 1, tzinfo=UTC)).days * 24
    assert story.dataset()["at"].min() >= MARCH
    assert story.is_whole(champion)
    assert tidy(story)[0] == "NothingToDo"


POINTS = [
    "everfit.tasks.data.tables:Table.remove",
    "everfit.tasks.data.tables:Table.compact",
    "everfit.tasks.data.table_upkeep:_vacuum",
    "everfit.tasks.releasing.registry:delete",
    "everfit.tasks.housekeeping:remove_files",
]
"""After whose first return the upkeep is broken off, in their order."""


@pytest.mark.usefixtures("prefect_server")
def test_broken_off_at_any_step_and_run_again_it_ends_as_if_left_alone(story: Story, monkeypatch: pytest.MonkeyPatch):
    first, second, third = (TurnRecord.recall(turn.record).snapshot for turn in story.context.ledger.turns("sales"))
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
    assert registry.versions(story.context.mlflow, "sales") == [1, 3]
    assert [story.is_whole(each) for each in (first, second, third)] == [True, False, True]
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
        found = real(*arguments, **named)
        if named.get("dry"):
            return found
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
    accept(story.spec, batch, validation, story.workspace)

    found = story.dataset()
    assert found["id"].is_unique
    assert set(rows["id"][rows["at"] >= MARCH]) <= set(found["id"])
    expected = rows.set_index("id")["price"].loc[found["id"]]
    newer = found["at"] >= MARCH
    assert (found["price"][newer].to_numpy() == expected[newer.to_numpy()].to_numpy()).all()
