"""What a turn ends as, by what the gate decided."""

from datetime import UTC, datetime, timedelta

from prefect import runtime

from everfit.tasks.gate import Check, GateDecision
from everfit.tasks.turns.turn_record import (
    AWAITING_APPROVAL,
    CHAMPION_KEPT,
    DATA_REJECTED,
    PROMOTED,
    check_until,
    state_of,
)


def decided(verdict: str, *checks: Check) -> GateDecision:
    given = {"id": "d", "verdict": verdict, "reasons": ["why"], "checks": checks, "risk": "low"}
    return GateDecision.model_validate({**given, "evidence_digest": "", "policy_digest": ""})


def test_a_turn_ends_as_the_gate_decides_and_fails_when_a_feature_knows_the_label() -> None:
    assert [state_of(decided(item)) for item in ("promote", "keep", "needs_approval")] == [
        PROMOTED, CHAMPION_KEPT, AWAITING_APPROVAL,
    ]  # fmt: skip
    small = Check(name="hold-out size", passed=False, value=3, bound=20, reason="few rows")
    leak = Check(name="leaks", passed=False, value=1, bound=0, reason="paid_at: suspected")
    assert state_of(decided("keep", small)) == CHAMPION_KEPT
    assert state_of(decided("keep", small, leak)) == DATA_REJECTED
    not_measured = Check(name="leaks", passed=False, reason="nothing is known of it")
    assert state_of(decided("keep", not_measured)) == CHAMPION_KEPT


def test_when_a_run_was_due_can_be_reckoned_with() -> None:
    due = check_until(runtime.flow_run.scheduled_start_time)
    assert (type(due), due.tzinfo) == (datetime, UTC)
    assert (due - timedelta(days=14)).tzinfo is UTC
