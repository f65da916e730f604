"""A run that starts so late that its turn was given up asks anew: what was granted then may not be granted now."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from support.training import a_spec

from everfit.blocks.settings import Settings
from everfit.tasks.core.records import Trigger, TriggerKind, Window
from everfit.tasks.ledger import requests as ledger_calls
from everfit.tasks.monitoring.triage_history import history_of
from everfit.tasks.steps import requests
from everfit.tasks.triage.admission import Admission
from everfit.tasks.turns.context import Context

UNTIL = datetime(2024, 6, 1, tzinfo=UTC)
EARLIER = UNTIL - timedelta(days=7)
KINDS: tuple[TriggerKind, ...] = ("quality", "new_data", "schedule")


@pytest.fixture
def context(workspace: Path) -> Context:
    return Context(a_spec(), Settings())


def grant(context: Context, kind: TriggerKind) -> Trigger:
    trigger = Trigger(kind=kind, id="the triage")
    yes = Admission(admitted=True, reason="so it was decided")
    assert context.ledger.turns.request("small", trigger, Window(until=EARLIER), may_start=lambda _: yes).start
    return trigger


def given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_calls, "START_TIMEOUT", timedelta(0))


@pytest.mark.slow
@pytest.mark.parametrize("kind", get_args(get_args(TriggerKind)[0]))
def test_limits_hold_for_each_trigger_but_a_person_and_a_schedule(context: Context, kind: TriggerKind) -> None:
    with context.ledger.turns.take("small", Trigger(id="the last"), Window(until=EARLIER)) as turn:
        context.ledger.turns.finish(turn, state="ChampionKept")

    refused = requests.refuse_event(context, EARLIER + timedelta(hours=1), Trigger(kind=kind))

    # A judgement of a waiting challenger trains nothing, so it needs no distance from other turns.
    assert (refused is None) == (kind in {"manual", "schedule", "waiting"})


@pytest.mark.parametrize("kind", KINDS)
def test_a_turn_on_its_way_begins(context: Context, kind: TriggerKind) -> None:
    assert requests.refuse_event(context, EARLIER, grant(context, kind)) is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_turn_that_was_given_up_begins_where_nothing_has_come_since(
    context: Context, kind: TriggerKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger = grant(context, kind)
    given_up(monkeypatch)
    [turn] = context.ledger.turns.observed("small")
    assert (turn.state, turn.error) == ("failed", "it was requested and has not begun: does a worker run?")
    assert requests.refuse_event(context, EARLIER, trigger) is None
    assert len(context.ledger.turns.of("small")) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_turn_that_was_given_up_does_not_begin_beside_or_after_a_newer_one(
    context: Context, kind: TriggerKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    trigger = grant(context, kind)
    given_up(monkeypatch)
    newer = Trigger(kind="quality", id="a later triage")
    with context.ledger.turns.take("small", newer, Window(until=UNTIL)) as turn:
        beside = requests.refuse_event(context, EARLIER, trigger)
        context.ledger.turns.finish(turn, state="ChampionKept")
    after = requests.refuse_event(context, EARLIER, trigger)
    assert beside is not None
    assert after is not None
    assert beside.reason == f"turn {turn.id} is running"
    assert after.reason == f"turn {turn.id} has already learned from this window"


def test_a_turn_that_broke_off_while_it_ran_is_taken_up_by_a_retry_of_its_run(context: Context) -> None:
    trigger = grant(context, "quality")
    with pytest.raises(RuntimeError), context.ledger.turns.take("small", trigger, Window(until=EARLIER)):
        raise RuntimeError("the network was away")
    assert requests.refuse_event(context, EARLIER, trigger) is None


@pytest.mark.slow
def test_while_no_worker_runs_neither_budget_nor_patience_is_spent(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up(monkeypatch)
    # Given a call each hour for two days, of which none was begun,
    for hour in range(48):
        trigger, until = Trigger(kind="quality", id=f"triage {hour}"), UNTIL + timedelta(hours=hour)
        assert requests.request_for_event(context, until, trigger).start
    # then the newest may begin once a worker is back, and none after it; and nothing is said to have broken off.
    assert requests.refuse_event(context, until, trigger) is None
    with context.ledger.turns.take("small", trigger, Window(until=until)) as turn:
        context.ledger.turns.finish(turn, state="ChampionKept")
    held_back = requests.refuse_event(context, until - timedelta(hours=1), Trigger(kind="quality", id="triage 46"))
    assert held_back is not None
    assert held_back.reason == f"turn {turn.id} has already learned from this window"
    history = history_of([], context.ledger.turns.observed("small"), until + timedelta(days=1))
    assert [item.outcome for item in history.turns] == ["kept"]
