"""The gate's check of slices: corrected for how many there are, and judged only where there are rows enough."""

import pytest
from support.gating import FULL_POLICY, a_policy, a_slice, compared, failed, measured

from everfit.tasks.gate import decide
from everfit.tasks.gate.evidence import SliceEvidence


def test_slices_are_corrected_for_how_many_there_are() -> None:
    """Given twenty slices of which one is worse at p = .04, then that is what chance gives; at p = .002 it is not."""
    others = tuple(a_slice(f"C{i}", comparison=compared(rows=1000, worse=0.5)) for i in range(19))
    chance = a_slice("B6", comparison=compared(-0.04, -0.06, worse=0.04, rows=1000))
    alarm = a_slice("B6", comparison=compared(-0.04, -0.06, worse=0.002, rows=1000))
    assert decide(measured(slices=(*others, chance)), FULL_POLICY).verdict == "promote"
    kept = decide(measured(slices=(*others, alarm)), FULL_POLICY)
    assert failed(kept) == {"slices"}
    assert "1 of 20 slices lose more than .010" in kept.reasons[0]
    assert "carrier = B6 (.040 worse on 1,000 rows)" in kept.reasons[0]


def test_a_sure_but_small_loss_of_a_slice_is_allowed() -> None:
    small = a_slice("B6", comparison=compared(-0.009, -0.012, worse=0.0001, rows=1000))
    assert decide(measured(slices=(small,)), FULL_POLICY).verdict == "promote"


SMALL_SLICE = a_slice("B6", rows=99, comparison=compared(-0.2, -0.3, worse=0.0001, rows=99))
ONE_CLASS = a_slice("HA", rows=5000, other_class_rows=0, comparison=None)
RARE_CLASS = a_slice("OO", rows=5000, other_class_rows=19, comparison=compared(-0.2, -0.3, worse=0.0001, rows=5000))


@pytest.mark.parametrize(
    ("few", "words"),
    [
        (SMALL_SLICE, "carrier = B6 has 99 of 100 rows"),
        (ONE_CLASS, "carrier = HA has 0 of 20 rows outside of its largest class"),
        (RARE_CLASS, "carrier = OO has 19 of 20 rows outside of its largest class"),
    ],
)
def test_a_slice_with_too_few_rows_to_judge_is_told_and_blocks_only_where_the_policy_says_so(
    few: SliceEvidence, words: str
) -> None:
    evidence = measured(slices=(a_slice("AA"), few))

    decision = decide(evidence, FULL_POLICY)
    assert decision.verdict == "promote"
    (check,) = [check for check in decision.checks if check.name == "slices"]
    assert f"none of 1 slices is clearly worse than with the champion (1 can't be judged: {words})" == check.reason

    requested = {"slices": FULL_POLICY.slices.model_dump() | {"small_slices": "fail"}} if FULL_POLICY.slices else {}
    blocked = decide(evidence, a_policy(**requested))
    assert failed(blocked) == {"slices"}
    assert words in blocked.reasons[0]


def test_a_slice_with_just_enough_rows_of_a_class_is_judged() -> None:
    lost = {"other_class_rows": 20, "comparison": compared(-0.2, -0.3, worse=0.0001, rows=5000)}
    assert failed(decide(measured(slices=(a_slice("OO", rows=5000, **lost),)), FULL_POLICY)) == {"slices"}
    unknown = a_slice("OO", rows=5000, other_class_rows=20, comparison=None)
    assert failed(decide(measured(slices=(unknown,)), FULL_POLICY)) == {"slices"}
