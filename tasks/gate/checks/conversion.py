"""The converted model answers as the fitted one."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.gate.check import Checks, GateCheck, missing, number
from everfit.tasks.gate.evidence import Check, Evidence


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    """Check that the converted model is the model that was fitted."""
    found = evidence.conversion
    if found is None:
        if policy.conversion:
            yield missing("conversion", "whether the converted model answers as the fitted one")
        return
    if found.accepted:
        reason = f"converted to {found.format} the model answers as it was fitted: on {found.rows:,} hold-out rows "
        reason += f"predictions differ by at most {number(found.difference)}"
        yield Check(name="conversion", passed=True, value=found.difference, reason=reason)
        return
    kept = f"the model could not be converted to {found.format}"
    instead = f"it must be {found.format} to be released" if policy.conversion else "it is released as it was fitted"
    reason = f"{kept}: {found.problem}; {instead}"
    yield Check(name="conversion", passed=not policy.conversion, value=found.difference, reason=reason)


CHECK = GateCheck(
    name="conversion",
    place=140,
    summary="The converted model answers as the fitted one.",
    policy="conversion",
    judge=_judge,
)
