"""Few predictions change under small changes of the input."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.gate.check import Checks, GateCheck, judge
from everfit.tasks.gate.evidence import Evidence


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    """Check the share of predictions that flip under small changes."""
    if policy.robustness is None:
        return
    flips = evidence.robustness
    subject = "the share of predictions that flip" + (
        f" under {flips.perturbation}" if flips and flips.perturbation else ""
    )
    value = None if flips is None else flips.flip_share
    yield judge("robustness", value, policy.robustness.max_flip_share, at_most=True, subject=subject)


CHECK = GateCheck(
    name="robustness",
    place=110,
    summary="Few predictions change under small changes of the input.",
    policy="robustness",
    judge=_judge,
    measured=True,
)
