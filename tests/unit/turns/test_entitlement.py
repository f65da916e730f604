"""Commands without a spec obey the roles of the newest recorded one, and each refusal is recorded."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.people import Person, RoleError
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger import Ledger
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.turns.accepted_spec import accept_spec
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.entitlement import require_role, require_role_by_record
from everfit.tasks.turns.refusals import REFUSAL

NOW = datetime(2024, 3, 4, tzinfo=UTC)
SPEC = {
    "name": "m",
    "task": "binary",
    "source": {"kind": "files", "path": "rows.parquet"},
    "columns": {"event_time": "at", "target": "y"},
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(workspace=str(tmp_path / "workspace"), ledger_url=SecretStr(f"sqlite:///{tmp_path}/ledger.db"))


def left_package(settings: Settings, day: int, roles: dict[str, object]) -> None:
    turn = Ledger.open(settings).turns.begin("m", Trigger(kind="manual"), Window(until=NOW.replace(day=day)))
    workspace = Workspace.of(settings)
    for name in ("spec", "turn", "evidence", "environment"):
        content = SPEC | {"roles": roles} if name == "spec" else {}
        workspace.write(workspace.turn_file("m", turn.id, f"{name}.json"), json.dumps(content).encode())


def test_the_newest_recorded_spec_says_who_may_end_a_model(settings: Settings) -> None:
    left_package(settings, 5, {"retire": ["bob"]})
    left_package(settings, 6, {"retire": ["ann"]})

    require_role_by_record("m", "retire", Person(name="ann"), NOW, settings)
    with pytest.raises(RoleError, match=r"bob \(as stated\) may not end or rename the model for 'm': .* names ann"):
        require_role_by_record("m", "retire", Person(name="bob"), NOW, settings)

    (refusal,) = Ledger.open(settings).decisions.of("m", kind=REFUSAL)
    assert (refusal.verdict, refusal.record["name"]) == ("refused", "bob")


def test_who_may_approve_but_not_edit_gains_nothing_by_an_edit(settings: Settings) -> None:
    content = SPEC | {"roles": {"approve": ["bob", "cid"], "edit": ["ann"]}, "gate": {"approval": "always"}}
    spec, alone = (ModelSpec.model_validate(content | {"gate": {"approval": "always", "approvals": n}}) for n in (2, 1))
    accept_spec(Ledger.open(settings), spec, Person(name="ann"), "agreed", NOW)

    require_role(Context(spec, settings), "approve", Person(name="bob"), NOW)
    with pytest.raises(RoleError, match=r"it differs from the one that ann .* has accepted: gate\.approvals"):
        require_role(Context(alone, settings), "approve", Person(name="bob"), NOW)


def test_without_a_record_or_names_everybody_may(settings: Settings) -> None:
    Ledger.open(settings)
    require_role_by_record("m", "retire", Person(name="bob"), NOW, settings)
    left_package(settings, 5, {"approve": ["ann"]})
    require_role_by_record("m", "retire", Person(name="bob"), NOW, settings)
