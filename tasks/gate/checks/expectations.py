"""The data meets its expectations."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.gate.check import Checks, GateCheck, missing
from everfit.tasks.gate.evidence import Check, Evidence


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    if not policy.expectations:
        return
    passed = evidence.expectations_passed
    if passed is None:
        yield missing("expectations", "whether the data meets its expectations")
    else:
        reason = "the data meets its expectations" if passed else "the data does not meet its expectations"
        yield Check(name="expectations", passed=passed, reason=reason)


CHECK = GateCheck(
    name="expectations",
    place=20,
    summary="The data meets its expectations.",
    policy="expectations",
    judge=_judge,
)
