"""The gate: each check alone keeps the champion, and nothing unknown passes."""

from typing import Any

import pytest
from pydantic import ValidationError
from support.gating import FAULTS, FULL_POLICY, compared, failed, measured

from everfit.blocks.gating import GatePolicy
from everfit.tasks.gate import Evidence, decide
from everfit.tasks.gate import decision as gating
from everfit.tasks.gate.check import GateCheck
from everfit.tasks.gate.checks import CHECKS


def test_a_challenger_that_is_better_in_all_is_promoted() -> None:
    decision = decide(measured(), FULL_POLICY)
    assert (decision.verdict, decision.failed) == ("promote", ())
    assert decision.reasons[0] == (
        "Promoted challenger 5 over champion 3: roc_auc .712 against the champion's .697 on 9,120 rows; "
        "the gain of .015 is at least .009 with 95 % confidence"
    )


@pytest.mark.parametrize(("check", "fault"), FAULTS, ids=[f"{name}-{i}" for i, (name, _) in enumerate(FAULTS)])
def test_each_check_alone_keeps_the_champion(check: str, fault: dict[str, Any]) -> None:
    """So a check that is taken out of the gate is missed here: no other one stands in for it."""
    decision = decide(measured(**fault), FULL_POLICY)
    assert decision.verdict == "keep"
    assert failed(decision) == {check}
    assert decision.reasons[0] == f"Kept champion 3: {decision.failed[0].reason}"


def test_every_check_of_the_gate_has_a_fault() -> None:
    named = {name.partition(" ")[0] for name, _ in FAULTS}
    made = {check.name.partition(" ")[0] for check in decide(measured(), FULL_POLICY).checks}
    assert made == named


@pytest.mark.slow
def test_the_gate_is_all_of_its_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given any one check taken out, then a fault that it alone finds is promoted: each of them is needed."""
    needed: set[GateCheck] = set()
    for taken in CHECKS:
        monkeypatch.setattr(gating, "CHECKS", tuple(check for check in CHECKS if check is not taken))
        if any(decide(measured(**fault), FULL_POLICY).verdict == "promote" for _, fault in FAULTS):
            needed.add(taken)
        monkeypatch.undo()
    assert needed == set(CHECKS)


def test_what_is_switched_off_is_not_asked_for() -> None:
    bare = measured(
        expectations_passed=None,
        suspected_leaks=None,
        dummy=None,
        dummy_comparison=None,
        slices=None,
        fairness=None,
        calibration=None,
        robustness=None,
        business_value=None,
        serving=None,
        conversion=None,
    )
    off = GatePolicy(expectations=False, leaks=False, dummy=False)
    decision = decide(bare, off)
    assert decision.verdict == "promote"
    assert [check.name for check in decision.checks] == ["unseen rows", "hold-out size", "comparison"]
    assert failed(decide(bare, GatePolicy())) == {"expectations", "leaks", "dummy"}


UNKNOWABLE = [name for name, info in Evidence.model_fields.items() if info.default is None]


@pytest.mark.slow
@pytest.mark.parametrize("field", [name for name in UNKNOWABLE if name != "champion_version"])
def test_knowing_less_never_promotes(field: str) -> None:
    """Given any evidence that keeps the champion, when one more thing is not known, then it is still kept.

    (Without a champion there is nothing to keep: that is another question, not less known of this one.)
    """
    for _, fault in FAULTS:
        evidence = measured(**fault)
        assert decide(evidence, FULL_POLICY).verdict == "keep"
        assert decide(evidence.model_copy(update={field: None}), FULL_POLICY).verdict == "keep"


def test_evidence_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValidationError, match="no evidence on 'roc_auc'"):
        measured(comparison=compared(metric="accuracy"))
    with pytest.raises(ValidationError, match="on 90 rows is not of the 9120 hold-out rows"):
        measured(comparison=compared(rows=90))
    with pytest.raises(ValidationError, match="needs champion_version"):
        measured(champion_version=None)
