"""A user's own check is one of the gate's: its result is evidence, and one that fails to answer doesn't pass."""

from pathlib import Path

import pytest
from support.extensions import install
from support.gating import measured

from everfit.blocks.gating import GatePolicy
from everfit.tasks.evaluation.own_checks import with_own_checks
from everfit.tasks.gate import Evidence, decide
from everfit.tasks.turns.turn_record import TurnRecord, flat_metrics

CODE = """
from everfit.tasks.gate import Check

def gains(evidence): return evidence.comparison.difference > 0
def margin(evidence): return evidence.challenger["roc_auc"] - 0.9
def enough(evidence): return evidence.holdout_rows - 1000
def reasoned(evidence): return False, "the night shift would lose"
def whole(evidence): return Check(name="mine", passed=True, value=0.2, bound=0.3, reason="few complaints")
def raises(evidence): return evidence.no_such_area
def misspells(evidence): return evidence.challenger["auc"] > 0.5
def text(evidence): return "fine"
def nothing(evidence): pass
def odd(evidence): return float("nan")
def unsure(evidence): return "yes", "it is fine"
def cheats(evidence):
    evidence.challenger["roc_auc"] = 1.0
    return True
def freezes(evidence): evidence.metric = "f1"
"""


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, "checks_of_shop", CODE, {"everfit.gate_checks": {"gains": "checks_of_shop:gains"}})


@pytest.mark.parametrize(
    ("name", "passed", "reason"),
    [
        ("gains", True, "check 'gains' passed"),
        ("checks_of_shop:margin", False, "the margin of check 'checks_of_shop:margin' is -.188; it must be at least 0"),
        ("checks_of_shop:enough", True, "is 8,120; it must be at least 0"),
        ("checks_of_shop:reasoned", False, "the night shift would lose"),
        ("checks_of_shop:whole", True, "few complaints"),
        ("checks_of_shop:raises", False, "failed with AttributeError: 'Evidence' object has no attribute"),
        ("checks_of_shop:misspells", False, "failed with KeyError: 'auc'; the metrics are 'roc_auc'"),
        ("checks_of_shop:text", False, "returned 'fine', which is no result; return True or False, a margin"),
        ("checks_of_shop:nothing", False, "returned None, which is no result"),
        ("checks_of_shop:odd", False, "returned nan, which is no result"),
        ("checks_of_shop:unsure", False, "returned ('yes', 'it is fine'), which is no result"),
        ("checks_of_shop:freezes", False, "failed with ValidationError"),
        ("checks_of_shop:absent", False, "check 'checks_of_shop:absent' can't be imported"),
        ("losses", False, "check 'losses' is not an entry point of everfit.gate_checks (installed: gains)"),
    ],
)
def test_the_result_is_a_check_of_the_decision(name: str, passed: bool, reason: str):
    policy = GatePolicy(checks=(name,))
    evidence = with_own_checks(measured(), policy.checks)
    decision = decide(Evidence.model_validate_json(evidence.model_dump_json()), policy)
    assert decision == decide(evidence, policy)
    assert decision.checks[-1].name == name
    assert decision.checks[-1].passed is passed
    assert reason in decision.checks[-1].reason
    assert decision.verdict == ("promote" if passed else "keep")


def test_a_check_changes_no_evidence():
    before = measured()
    after = with_own_checks(before, ("checks_of_shop:cheats",))
    assert after.challenger == before.challenger == measured().challenger


def test_a_check_that_was_not_run_does_not_pass():
    decision = decide(measured(), GatePolicy(checks=("gains",)))
    assert decision.verdict == "keep"
    assert "the check gains was not measured; unknown evidence does not pass" in decision.reasons[0]


def test_evidence_and_policy_without_own_checks_keep_their_digest():
    assert "own_checks" not in measured(own_checks=()).canonical_json()
    assert "checks" not in GatePolicy().model_dump()
    with pytest.raises(ValueError, match="checks: one of gains, gains is given twice"):
        GatePolicy(checks=("gains", "gains"))


def test_mlflow_gets_the_value_or_whether_it_passed():
    evidence = with_own_checks(measured(), ("gains", "checks_of_shop:enough", "checks_of_shop:raises"))
    logged = flat_metrics(TurnRecord(evidence=evidence))
    assert logged["check.gains"] == 1
    assert logged["check.checks_of_shop:enough"] == 8120
    assert logged["check.checks_of_shop:raises"] == 0
