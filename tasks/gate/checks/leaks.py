"""No feature is suspected of knowing the label."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.gate.check import Checks, GateCheck, missing
from everfit.tasks.gate.evidence import Check, Evidence


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    if not policy.leaks:
        return
    suspects = evidence.suspected_leaks
    if suspects is None:
        yield missing("leaks", "whether a feature leaks the label")
    else:
        advice = (
            f"{', '.join(suspects)}: suspected of knowing the label; put under columns.ignore what does, and under "
            f"training.allow_leaks what doesn't"
        )
        yield Check(
            name="leaks",
            passed=not suspects,
            value=len(suspects),
            bound=0,
            reason=advice if suspects else "no feature is suspected of knowing the label",
        )


CHECK = GateCheck(
    name="leaks",
    place=30,
    summary="No feature is suspected of knowing the label.",
    policy="leaks",
    judge=_judge,
)
