"""The converted model answers as the fitted one."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.gate.check import Checks, GateCheck, missing, number
from everfit.tasks.gate.evidence import Check, Evidence


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    """Check that the converted model is the model that was fitted."""
    result = evidence.conversion
    if result is None:
        if policy.conversion:
            yield missing("conversion", "whether the converted model answers as the fitted one")
        return
    if result.accepted:
        reason = f"converted to {result.format} the model answers as it was fitted: on {result.rows:,} hold-out rows "
        reason += f"predictions differ by at most {number(result.difference)}"
        yield Check(name="conversion", passed=True, value=result.difference, reason=reason)
        return
    kept = f"the model could not be converted to {result.format}"
    instead = f"it must be {result.format} to be released" if policy.conversion else "it is released as it was fitted"
    reason = f"{kept}: {result.problem}; {instead}"
    yield Check(name="conversion", passed=not policy.conversion, value=result.difference, reason=reason)


CHECK = GateCheck(
    name="conversion",
    place=140,
    summary="The converted model answers as the fitted one.",
    policy="conversion",
    judge=_judge,
)
