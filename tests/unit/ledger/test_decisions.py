"""Each decision is in the ledger once, and never becomes another."""

from datetime import UTC, datetime

import pytest

from everfit.blocks.errors import LedgerError
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger import Ledger

MARCH = Window(since=datetime(2013, 1, 1, tzinfo=UTC), until=datetime(2013, 3, 1, tzinfo=UTC))


def test_a_decision_is_recorded_once(ledger: Ledger) -> None:
    turn = ledger.turns.begin("flights", Trigger(), MARCH)
    first = ledger.decisions.record(
        "abc",
        model="flights",
        kind="gate",
        verdict="keep",
        until=MARCH.until,
        reasons=["no gain"],
        record={"gain": 0.0},
        turn_id=turn.id,
    )
    again = ledger.decisions.record("abc", model="flights", kind="gate", verdict="keep", reasons=["said differently"])

    assert again == first
    assert ledger.decisions.of("flights", turn_id=turn.id, kind="gate") == [first]
    assert ledger.decisions.find("xyz") is None
    assert ledger.story(turn.id).decisions == (first,)


def test_a_decision_can_not_become_another(ledger: Ledger) -> None:
    ledger.decisions.record("abc", model="flights", kind="approval", verdict="approve")

    with pytest.raises(LedgerError, match="is 'approve'"):
        ledger.decisions.record("abc", model="flights", kind="approval", verdict="decline")


def test_a_decision_of_an_unknown_turn_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="no turn 'nothing'"):
        ledger.decisions.record("abc", model="flights", kind="gate", verdict="keep", turn_id="nothing")
