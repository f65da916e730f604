"""The gate decides the same from the same evidence: as it always did, and in any process.

The decisions in `golden` are kept word for word. When they are to change, write them anew by
`REGENERATE_GOLDEN=1 pytest tests/unit/gate/test_gate_golden.py` and read the difference.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.gating import FULL_POLICY, SMALL, a_policy, compared, first_champion, measured

from everfit.blocks.gating import GatePolicy
from everfit.tasks.core.paired_comparison import EarlierGains
from everfit.tasks.gate import Evidence, GateDecision, decide
from everfit.tasks.gate.earlier_releases import EarlierRelease

GOLDEN = Path(__file__).parent / "golden"


_DAYS = {"grouped_by": "days", "groups": 28, "log_likelihoods": (-1.5, *(-1.0 for _ in range(8)), 0.0)}
EARLIER = tuple(EarlierGains.model_validate({"champion": version, "overall": _DAYS}) for version in (1, 2))
AFTER_EARLIER_DAYS = compared(
    0.004,
    -0.002,
    method="jackknife",
    standard_error=0.0035,
    degrees_of_freedom=12.5,
    groups=13,
    grouped_by="days",
    autocorrelation=_DAYS | {"groups": 13},
    earlier_groups=56,
)
PAID = tuple(EarlierRelease(version=version, gain=0.02, chance=0.01) for version in (2, 3))


def _golden_cases() -> dict[str, tuple[Evidence, GatePolicy]]:
    return {
        "promote": (measured(), FULL_POLICY),
        "promote-first": (first_champion(), GatePolicy()),
        "promote-after-paid": (measured(earlier_releases=PAID), GatePolicy()),
        "keep-after-earlier-days": (measured(comparison=AFTER_EARLIER_DAYS, earlier_gains=EARLIER), GatePolicy()),
        "keep-unsure": (measured(comparison=compared(0.004, -0.002)), GatePolicy()),
        "keep-waiting": (measured(comparison=compared(0.004, -0.002)), GatePolicy(wait_for_evidence=True)),
        "keep-many": (
            measured(overlap_rows=12, suspected_leaks=("arr_delay", "dep_time"), serving=None, calibration=None),
            FULL_POLICY,
        ),
        "keep-small": (measured(**SMALL), GatePolicy(small_holdout="extend")),
        "approval": (measured(), a_policy(approval="on_risk", risk={"impact": "high", "approve_from": "medium"})),
        "non-inferior": (
            measured(comparison=compared(-0.001, -0.004)),
            GatePolicy(comparison="non_inferiority", margin=0.005),
        ),
    }


@pytest.mark.parametrize("name", _golden_cases())
def test_golden_decisions_stay_word_for_word(name: str) -> None:
    path = GOLDEN / f"{name}.json"
    if os.environ.get("REGENERATE_GOLDEN"):
        evidence, policy = _golden_cases()[name]
        records = {"evidence": evidence, "policy": policy, "decision": decide(evidence, policy)}
        dumped = {key: record.model_dump(mode="json") for key, record in records.items()}
        path.write_text(json.dumps(dumped, indent=2, ensure_ascii=False) + "\n")
    kept = json.loads(path.read_text())
    decision = decide(Evidence.model_validate(kept["evidence"]), GatePolicy.model_validate(kept["policy"]))
    assert decision.model_dump(mode="json") == kept["decision"]


def test_evidence_and_decision_survive_json() -> None:
    evidence = measured()
    decision = decide(evidence, FULL_POLICY)
    again = Evidence.model_validate_json(evidence.model_dump_json())
    assert again == evidence
    assert again.digest() == evidence.digest() == decision.evidence_digest
    assert GateDecision.model_validate_json(decision.canonical_json()) == decision
    assert decide(again, FULL_POLICY).id == decision.id
    assert decide(measured(holdout_digest="0ther"), FULL_POLICY).id != decision.id
    assert decide(evidence, a_policy(confidence=0.9)).id != decision.id


PURE = """
import importlib.util, json, sys, types
blocks = types.ModuleType("everfit.blocks")  # the package itself brings the Prefect blocks; its modules don't need them
blocks.__path__ = importlib.util.find_spec("everfit.blocks").submodule_search_locations
sys.modules["everfit.blocks"] = blocks
sys.modules["prefect"] = None  # so that importing it fails
import everfit.tasks.gate as gate
from everfit.blocks.gating import GatePolicy
kept = json.load(open(sys.argv[1]))
decision = gate.decide(gate.Evidence.model_validate(kept["evidence"]), GatePolicy.model_validate(kept["policy"]))
heavy = {"mlflow", "pandas", "sklearn", "evidently", "great_expectations"} & set(sys.modules)
print(json.dumps({"heavy": sorted(heavy), "id": decision.id}))
"""


@pytest.mark.slow
def test_the_gate_imports_no_prefect_and_decides_the_same_in_another_process() -> None:
    path = GOLDEN / "promote.json"
    environment = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    command = [sys.executable, "-c", PURE, str(path)]
    content = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    assert content == {"heavy": [], "id": json.loads(path.read_text())["decision"]["id"]}
