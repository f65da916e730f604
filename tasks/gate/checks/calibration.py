"""Probabilities are close to what happens."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.gate.check import Checks, GateCheck, judge
from everfit.tasks.gate.evidence import Evidence


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    """Check the distance of probabilities from outcomes."""
    if policy.calibration is None:
        return
    error = evidence.calibration
    value, before = (None, None) if error is None else (error.challenger, error.champion)
    if policy.calibration.max_error is not None:
        subject = "the expected calibration error"
        yield judge("calibration", value, policy.calibration.max_error, at_most=True, subject=subject)
    if policy.calibration.max_worsening is not None and evidence.champion_version is not None:
        worse = None if value is None or before is None else value - before
        subject = "the worsening of the expected calibration error"
        yield judge("calibration worsening", worse, policy.calibration.max_worsening, at_most=True, subject=subject)


CHECK = GateCheck(
    name="calibration",
    place=100,
    summary="Probabilities are close to what happens.",
    policy="calibration",
    judge=_judge,
    measured=True,
)
