"""The release is worth something, in the unit of the user."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.gate.check import Checks, GateCheck, judge
from everfit.tasks.gate.evidence import Evidence


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    """Check the gain in business value per row."""
    if policy.business_value is None:
        return
    worth, first = evidence.business_value, evidence.champion_version is None
    before = 0.0 if first else None if worth is None else worth.champion
    value = None if worth is None or worth.challenger is None or before is None else worth.challenger - before
    unit = f" in {worth.unit}" if worth and worth.unit else ""
    subject = f"the gain per row over {'no action' if first else 'the champion'}{unit}"
    yield judge("business value", value, policy.business_value.min_gain, at_most=False, subject=subject)


CHECK = GateCheck(
    name="business value",
    place=120,
    summary="The release is worth something, in the unit of the user.",
    policy="business_value",
    judge=_judge,
    measured=True,
)
