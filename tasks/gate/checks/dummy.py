"""The challenger beats a model that looks at no feature."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.gate.check import Checks, GateCheck, missing, number, percent, too_unsure
from everfit.tasks.gate.checks.comparison import proven_gain
from everfit.tasks.gate.evidence import Check, Evidence


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    if not policy.dummy:
        return
    paired = evidence.dummy_comparison
    if paired is None:
        subject = f"how the challenger's {evidence.metric} compares with that of a dummy baseline"
        yield missing("dummy", subject, evidence.not_measured.get("dummy"))
        return
    if paired.confidence < policy.confidence:
        yield too_unsure("dummy", paired, policy)
        return
    judged = proven_gain(paired, 0.0, 1 - paired.confidence)
    both = f"the challenger's {paired.metric} {number(paired.challenger)} against the dummy's {number(paired.champion)}"
    gain = "its gain"
    if judged.within and paired.within is not None:
        gain = f"its gain of {number(paired.within.difference)} within {paired.within.grouped_by}"
    sure = f"the {percent(round(judged.confidence, 4))} lower bound of {gain} is {number(judged.lower)}"
    reason = f"{both}: {sure}; it must be above 0"
    yield Check(name="dummy", passed=judged.passed, value=judged.lower, bound=0, reason=reason)


CHECK = GateCheck(
    name="dummy",
    place=60,
    summary="The challenger beats a model that looks at no feature.",
    policy="dummy",
    judge=_judge,
    open_on_few_rows="always",
)
