"""A model that is retrained and released each month; what training leaves is written, and no model is fitted."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from support.aging import age_ledger, age_tables
from support.turns import Loop, sales

from everfit.blocks.settings import Settings
from everfit.tasks.core.records import ModelVersion, Snapshot, Trigger, Window
from everfit.tasks.core.spec_loading import load_spec
from everfit.tasks.data.commit import commit_batch, take_snapshot
from everfit.tasks.data.ingest import ingest
from everfit.tasks.data.validate import validate
from everfit.tasks.registry import model_registry
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.turn_record import TurnRecord

FEBRUARY, MARCH, APRIL = (datetime(2024, month, 1, tzinfo=UTC) for month in (2, 3, 4))


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
        with ledger.turns.take("sales", Trigger(), window) as turn:
            self.turn(until, turn.id)
            snapshot = take_snapshot(self.spec, window, self.workspace)
            if state == "killed":
                path = self.workspace.turn_file("sales", turn.id, "snapshot.json")
                self.workspace.write(path, snapshot.canonical_json().encode())
                return turn.id, snapshot
            if not model_registry.versions(client, "sales"):
                client.create_registered_model("sales")
            made = int(client.create_model_version("sales", "file:///none").version)
            version = ModelVersion(model="sales", version=made, run_id="", trained_until=until)
            ledger.turns.finish(turn, state=state, record=TurnRecord(snapshot=snapshot, version=version))
            if state == "Promoted":
                with ledger.leases.hold("sales", scope="release") as lease:
                    current = ledger.releases.current("sales")
                    entry = ledger.releases.intend(
                        version,
                        expected_previous=current.seq if current else None,
                        previous_version=current.version if current else None,
                        kind="promotion",
                        reason="",
                        actor="gate",
                        lease=lease,
                    )
                    model_registry.set_alias(client, "sales", model_registry.CHAMPION, made)
                    ledger.releases.advance(
                        ledger.releases.advance(entry, "alias_set", lease=lease), "verified", lease=lease
                    )
            return turn.id, snapshot

    def another_turn(self) -> tuple[Trigger, Window]:
        return Trigger(reason="another"), Window(until=APRIL)

    def break_off(self, until: datetime) -> str:
        """A turn that died when it had checked what it read."""
        here = self.context
        with here.ledger.turns.take("sales", Trigger(), Window(until=until)) as turn:
            validate(self.spec, ingest(self.spec, until, turn.id, self.workspace), self.workspace)
        return turn.id

    def finish(self, turn_id: str, until: datetime) -> None:
        """The turn is taken up again."""
        batch = ingest(self.spec, until, turn_id, self.workspace)
        commit_batch(self.spec, batch, validate(self.spec, batch, self.workspace), self.workspace)

    def age(self, span: timedelta) -> None:
        age_tables(Path(self.workspace.uri) / "sales", span)
        age_ledger(Path(self.workspace.uri) / "ledger.db", span)

    def is_whole(self, snapshot: Snapshot) -> bool:
        try:
            again = take_snapshot(self.spec, snapshot.window, self.workspace, snapshot.version)
        except Exception:  # noqa: BLE001 - a file that is gone is told by whoever reads it
            return False
        return again.content_digest == snapshot.content_digest


def a_story(workspace: Path) -> Story:
    """A champion of February; challengers of March and April that were not good enough; each changed old rows."""
    reported = Story(workspace.parent, workspace)
    rows = sales(2_000)
    reported.write("sales.csv", rows.head(700))
    reported.train(FEBRUARY, "Promoted")
    for until, count in ((MARCH, 1_400), (APRIL, 2_000)):
        rows.loc[rows.index % 24 == until.month, "price"] += 1.0
        reported.write("sales.csv", rows.head(count))
        reported.train(until, "ChampionKept")
    return reported


def copy_of(folder: Path, workspace: Path) -> Story:
    """The same story in another workspace: to make it takes seconds."""
    shutil.copytree(folder, workspace.parent, dirs_exist_ok=True)
    return Story(workspace.parent, workspace)
