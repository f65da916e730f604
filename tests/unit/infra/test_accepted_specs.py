"""The service starts only by the spec that an editor has accepted, where there are editors."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from everfit.blocks.content import SpecContent
from everfit.blocks.errors import WorkspaceError
from everfit.blocks.joins import Join
from everfit.blocks.serving import ServingPolicy
from everfit.blocks.settings import Settings
from everfit.infra.serving.accepted_specs import check_accepted, check_served
from everfit.infra.serving.server import MODELS_VARIABLE, from_environment
from everfit.tasks.core.people import Person, RoleError
from everfit.tasks.ledger import Ledger
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.turns.accepted_copy import publish_accepted
from everfit.tasks.turns.accepted_spec import accept_spec

EDITORS = {"roles": {"edit": ["ann"]}, "release": {"serving": {"label_clients": ["office"]}}}


def spec(**changes: Any) -> SpecContent:
    content = {
        "name": "sales",
        "task": "binary",
        "source": {"kind": "sql", "url": "env:SALES_URL", "table": "sales"},
        "columns": {"event_time": "at", "target": "y"},
    }
    return SpecContent.model_validate(content | changes)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(workspace=str(tmp_path / "workspace"))


def accept(ledger: Ledger, settings: Settings, edited: SpecContent) -> None:
    accept_spec(ledger, edited, Person(name="ann"), "reviewed", datetime(2024, 3, 1, 12, tzinfo=UTC))
    publish_accepted(ledger, Workspace.of(settings), "sales")


def test_without_editors_every_spec_is_served(settings: Settings) -> None:
    check_accepted(spec(), settings)


def test_a_spec_that_no_editor_has_accepted_is_not_served(ledger: Ledger, settings: Settings) -> None:
    with pytest.raises(RoleError, match="nobody has accepted it yet"):
        check_accepted(spec(**EDITORS), settings)
    accept(ledger, settings, spec(**EDITORS))
    check_accepted(spec(**EDITORS), settings)

    edited = [spec(), spec(roles={"edit": ["eve"]}), spec(**EDITORS | {"release": {"signers": []}})]
    for one in edited:
        with pytest.raises(RoleError, match=r"it differs from the one that ann \(as stated\) has accepted"):
            check_accepted(one, settings)


def test_the_copy_of_this_machine_counts_while_the_workspace_is_not_there(
    ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(ledger, settings, spec(**EDITORS))

    def fail(*_: Any) -> None:
        raise OSError("the bucket does not answer")

    with monkeypatch.context() as patched:
        patched.setattr("everfit.infra.serving.accepted_specs.read_accepted", fail)
        with pytest.raises(WorkspaceError, match="what the editors of 'sales' have accepted can't be read"):
            check_accepted(spec(**EDITORS), settings)
    check_accepted(spec(**EDITORS), settings)
    monkeypatch.setattr("everfit.infra.serving.accepted_specs.read_accepted", fail)
    check_accepted(spec(**EDITORS), settings)
    with pytest.raises(RoleError):
        check_accepted(spec(), settings)


def served(settings: Settings, given: SpecContent) -> None:
    """Serve by the keys of a spec, as they come to a process: through JSON."""
    policy = ServingPolicy.model_validate(given.release.serving.model_dump(mode="json"))
    joins = [Join.model_validate(json.loads(json.dumps(join.content()))) for join in given.joins]
    check_served("sales", policy, joins, list(given.release.signers), settings)


def test_another_process_manager_serves_by_the_accepted_keys_too(ledger: Ledger, settings: Settings) -> None:
    source = {"kind": "sql", "url": "env:SALES_URL", "table": "sales"}
    join = {"source": {"kind": "files", "path": "shops.csv"}, "on": "shop", "as_of": "since", "columns": ["size"]}
    joined = spec(**EDITORS, source={**source, "joins": [join]})
    served(settings, joined)  # nobody has named editors yet
    accept(ledger, settings, joined)
    served(settings, joined)
    for other in (spec(**EDITORS), spec(source={**source, "joins": [join]}), spec(**EDITORS, source=source)):
        with pytest.raises(RoleError, match=r"differs from the one that ann \(as stated\) has accepted"):
            served(settings, other)


def test_a_process_of_the_service_asks_before_it_serves(
    ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(ledger, settings, spec(**EDITORS))
    monkeypatch.setenv("EVERFIT_WORKSPACE", settings.workspace)
    monkeypatch.setenv(MODELS_VARIABLE, json.dumps({"sales": {}}))
    with pytest.raises(RoleError, match=r"differs from the one that ann \(as stated\) has accepted"):
        from_environment()


def test_a_copy_that_a_power_cut_has_torn_is_none(
    ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept(ledger, settings, spec(**EDITORS))
    check_accepted(spec(**EDITORS), settings)
    (kept,) = settings.state_dir.glob("serving/sales/accepted-spec.json")
    kept.write_bytes(kept.read_bytes()[:20])
    check_accepted(spec(**EDITORS), settings)
    assert json.loads(kept.read_bytes())
    kept.write_bytes(b"")

    def fail(*_: Any) -> None:
        raise OSError("the bucket does not answer")

    monkeypatch.setattr("everfit.infra.serving.accepted_specs.read_accepted", fail)
    with pytest.raises(WorkspaceError):
        check_accepted(spec(**EDITORS), settings)


def test_a_damaged_copy_is_no_permission(ledger: Ledger, settings: Settings) -> None:
    accept(ledger, settings, spec(**EDITORS))
    (copy,) = Path(settings.workspace, "sales", "versions").glob("*.json")
    for content in (b"", b"{}", json.dumps({"person": {"name": "ann"}}).encode()):
        copy.write_bytes(content)
        with pytest.raises((WorkspaceError, RoleError)):
            check_accepted(spec(**EDITORS), settings)

    publish_accepted(ledger, Workspace.of(settings), "sales")
    check_accepted(spec(**EDITORS), settings)
