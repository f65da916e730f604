"""Each of the user's own checks passes."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.gate.check import Checks, GateCheck, missing
from everfit.tasks.gate.evidence import Evidence


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    results = {result.name: result for result in evidence.own_checks}
    for name in policy.checks:
        yield results.get(name) or missing(name, f"the check {name}")


CHECK = GateCheck(
    name="own",
    place=150,
    summary="Each of the user's own checks passes.",
    policy="checks",
    judge=_judge,
)
