"""The challenger beats a model that looks at no feature."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.gate.check import Checks, GateCheck, missing, number, percent, too_unsure
from everfit.tasks.gate.evidence import Check, Evidence


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    if not policy.dummy:
        return
    found = evidence.dummy_comparison
    if found is None:
        what = f"how the challenger's {evidence.metric} compares with that of a dummy baseline"
        yield missing("dummy", what, evidence.not_measured.get("dummy"))
        return
    if found.confidence < policy.confidence:
        yield too_unsure("dummy", found, policy)
        return
    passed = found.lower > 0
    told = f"the challenger's {found.metric} {number(found.challenger)} against the dummy's {number(found.champion)}"
    sure = f"the {percent(found.confidence)} lower bound of its gain is {number(found.lower)}"
    reason = f"{told}: {sure}; it must be above 0"
    yield Check(name="dummy", passed=passed, value=found.lower, bound=0, reason=reason)


CHECK = GateCheck(
    name="dummy",
    place=60,
    summary="The challenger beats a model that looks at no feature.",
    policy="dummy",
    judge=_judge,
)
