"""A challenger that the gate kept out only for want of evidence waits, and does not wait for ever."""

from typing import Any

import pytest
from support.gating import FULL_POLICY, SMALL, compared, first_champion, measured

from everfit.blocks.gating import GatePolicy
from everfit.tasks.gate import decide
from everfit.tasks.gate.waiting import MOST_LOOKS, Waiting, begin_to_wait, wait_on

AHEAD = compared(0.004, -0.002)


def waits(policy: GatePolicy | None = None, **changes: Any) -> bool:
    chosen = policy or GatePolicy()
    if "wait_for_evidence" not in chosen.model_fields_set:
        chosen = chosen.model_copy(update={"wait_for_evidence": True})
    return decide(measured(**{"comparison": AHEAD, **changes}), chosen).waits


def test_only_want_of_evidence_makes_a_challenger_wait() -> None:
    assert waits()
    assert not waits(comparison=compared(-0.004, -0.01))  # behind
    assert not waits(comparison=compared())  # released
    assert not waits(comparison=None)
    assert not waits(suspected_leaks=("arr_delay",))
    assert not waits(sampled=True)  # without event times no row is later
    assert not waits(GatePolicy(wait_for_evidence=False))
    assert not waits(GatePolicy(min_gain=0.005))  # the gain is smaller than what is asked for
    assert waits(GatePolicy(min_gain=0.003))
    wide, narrow = (GatePolicy(comparison="non_inferiority", margin=margin) for margin in (0.01, 0.003))
    assert waits(wide, comparison=compared(-0.004, -0.02))  # within the margin, but not certainly
    assert not waits(narrow, comparison=compared(-0.004, -0.02))
    assert not decide(first_champion(), GatePolicy(minimum={"roc_auc": 0.99})).waits


def test_a_small_hold_out_makes_it_wait_unless_the_hold_out_can_be_longer() -> None:
    small = {**SMALL, "comparison": compared(0.004, -0.002, rows=SMALL["holdout_rows"])}
    assert waits(**small)
    assert not waits(GatePolicy(small_holdout="extend"), **small)
    assert waits(GatePolicy(small_holdout="extend"), **{**small, "holdout_extended": True})


def test_a_decision_without_the_new_fields_stays_as_it_was() -> None:
    kept = decide(measured(), FULL_POLICY).model_dump(mode="json")
    assert "waits" not in kept
    assert "wait_for_evidence" not in GatePolicy().model_dump(mode="json")


def begun() -> Waiting:
    waiting = begin_to_wait("turn-5", measured(comparison=AHEAD), "too few rows")
    assert waiting is not None
    return waiting


def test_it_waits_against_the_champion_that_it_was_compared_with() -> None:
    assert begun().model_dump() == {
        "version": 5,
        "champion": 3,
        "turn_id": "turn-5",
        "looks": 0,
        "rows": 9120,
        "lacks": "too few rows",
    }
    assert begin_to_wait("turn-5", measured(challenger_version=None), "too few rows") is None
    assert begin_to_wait("turn-5", first_champion(), "too few rows") is None


def test_it_waits_on_while_it_is_ahead_and_not_for_ever() -> None:
    more = measured(comparison=compared(0.004, -0.001, rows=12_000), holdout_rows=12_000, dummy_comparison=None)
    waiting: Waiting | str = begun()
    for number in range(1, MOST_LOOKS):
        assert isinstance(waiting, Waiting)
        waiting = wait_on(waiting, more, "still too few", waits=True)
        assert isinstance(waiting, Waiting)
        assert (waiting.looks, waiting.rows, waiting.lacks) == (number, 12_000, "still too few")
    assert isinstance(waiting, Waiting)
    stale = wait_on(waiting, more, "still too few", waits=True)
    assert stale == f"Version 5 stopped waiting: it was judged {MOST_LOOKS} times in vain, and is out of date"


@pytest.mark.parametrize("looks", [0, 3])
def test_what_is_no_longer_ahead_is_dropped_with_a_reason(looks: int) -> None:
    waiting = begun().model_copy(update={"looks": looks})
    dropped = wait_on(waiting, measured(comparison=compared(-0.004, -0.01)), "it is worse", waits=False)
    assert dropped == "Version 5 stopped waiting: more rows have not shown it to be better"
