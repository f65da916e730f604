"""Where a spec names its editors, it is used only as one of them has accepted it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.people import Person, RoleError
from everfit.tasks.ledger import Ledger
from everfit.tasks.turns.accepted_spec import ACCEPTED, accept_spec, require_accepted, roles_in_force
from everfit.tasks.turns.refusals import REFUSAL

ANN, EVE = Person(name="ann"), Person(name="eve")
EDITORS = {"roles": {"edit": ["ann", "bob"], "roll_back": ["bob"]}}


def spec(**changes: Any) -> ModelSpec:
    content = {
        "name": "sales",
        "task": "binary",
        "source": {"kind": "sql", "url": "env:SALES_URL", "table": "sales"},
        "columns": {"event_time": "at", "target": "y"},
    }
    return ModelSpec.model_validate(content | changes)


def accept(ledger: Ledger, edited: ModelSpec, person: Person, second: int = 0) -> tuple[str, ...]:
    return accept_spec(ledger, edited, person, "reviewed", datetime(2024, 3, 1, 12, 0, second, tzinfo=UTC))


def test_without_editors_every_spec_is_used_and_nothing_recorded(ledger: Ledger) -> None:
    require_accepted(ledger, spec())
    assert accept(ledger, spec(), EVE) == ()
    assert ledger.decisions.of("sales", kind=ACCEPTED) == []


def test_an_edit_counts_once_an_editor_has_accepted_it(ledger: Ledger) -> None:
    with pytest.raises(RoleError, match="is not used: nobody has accepted it yet"):
        require_accepted(ledger, spec(**EDITORS))
    accept(ledger, spec(**EDITORS), ANN)
    require_accepted(ledger, spec(**EDITORS))
    assert accept(ledger, spec(**EDITORS), EVE) == ()  # it is accepted already

    edited = spec(**EDITORS, maturity="2d", gate={"min_rows": 500})
    with pytest.raises(RoleError, match=r"that ann \(as stated\) has accepted: maturity, gate.min_rows. roles.edit na"):
        require_accepted(ledger, edited)
    with pytest.raises(RoleError, match=r"eve \(as stated\) may not change the spec for 'sales'"):
        accept(ledger, edited, EVE)
    assert [entry.record["name"] for entry in ledger.decisions.of("sales", kind=REFUSAL)] == ["eve"]
    assert accept(ledger, edited, ANN, 1) == ("maturity", "gate.min_rows")
    require_accepted(ledger, edited)
    with pytest.raises(RoleError):
        require_accepted(ledger, spec(**EDITORS))  # the earlier one is an edit too


def test_who_removes_the_editors_or_names_himself_gains_nothing(ledger: Ledger) -> None:
    accept(ledger, spec(**EDITORS), ANN)
    for roles in ({}, {"edit": ["eve"]}, {"edit": ["ann"], "roll_back": ["eve"]}):
        edited = spec(roles=roles)
        with pytest.raises(RoleError, match="roles"):
            require_accepted(ledger, edited)
        with pytest.raises(RoleError):
            accept(ledger, edited, EVE)
        assert roles_in_force(ledger, edited).roll_back == ("bob",)

    accept(ledger, spec(), ANN, 1)  # an editor may end it
    require_accepted(ledger, spec(maturity="3d"))
    with pytest.raises(RoleError, match="differs"):
        require_accepted(ledger, spec(roles={"edit": ["eve"]}))
    accept(ledger, spec(roles={"edit": ["eve"]}), EVE, 2)  # nobody else is named


def test_another_source_is_an_edit_and_no_secret_is_recorded(ledger: Ledger) -> None:
    accept(ledger, spec(**EDITORS), ANN)
    other = {"kind": "sql", "url": "env:OTHER_URL", "table": "sales"}
    with pytest.raises(RoleError, match=r"accepted: source.url"):
        require_accepted(ledger, spec(**EDITORS, source=other))

    literal = spec(**EDITORS, source={"kind": "sql", "url": "postgresql://me:pw12@db/sales", "table": "sales"})
    accept(ledger, literal, ANN, 1)
    require_accepted(ledger, literal)
    (_, newest) = ledger.decisions.of("sales", kind=ACCEPTED)
    assert newest.record["content"]["source"]["url"] == "a secret"
    assert "pw12" not in str(newest)


def test_the_file_without_the_services_of_a_bootstrap_is_the_same_spec(ledger: Ledger) -> None:
    accept(ledger, spec(**EDITORS, release={"services": ["http://a:8080"]}), ANN)
    require_accepted(ledger, spec(**EDITORS))
    with pytest.raises(RoleError, match=r"release.services"):
        require_accepted(ledger, spec(**EDITORS, release={"services": ["http://eve:8080"]}))


def test_a_spec_of_an_earlier_everfit_is_accepted_as_what_it_is_today(ledger: Ledger) -> None:
    accept(ledger, spec(**EDITORS), ANN)
    (recorded,) = ledger.decisions.of("sales", kind=ACCEPTED)
    earlier = {"person": {"name": "ann"}, "content": {**recorded.record["content"], "gate": {"too_small": "extend"}}}
    del earlier["content"]["upkeep"]  # a section that came later
    ledger.decisions.record("sales/spec/9", model="sales", kind=ACCEPTED, verdict="accepted", record=earlier)
    require_accepted(ledger, spec(**EDITORS, gate={"small_holdout": "extend"}))
