"""The challenger beats a model that looks at no feature, or a champion that does worse than such a model.

A challenger that is no better than the dummy should replace nothing that is of use. A champion that is worse than the
dummy is of no use, and to keep it would be the greater harm. So it happens right after a change in the world: judged by
models that have seen little of the new world, the challenger is hardly better than the dummy, and far better than the
champion.
"""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.gate.check import Checks, GateCheck, missing, number, percent, too_unsure
from everfit.tasks.gate.checks.comparison import error_of_try, proven_gain
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
    replaced = not judged.passed and _beats_a_useless_champion(evidence, policy)
    if replaced:
        reason += ", or the challenger surely better than a champion that does worse than the dummy, as here"
    yield Check(name="dummy", passed=judged.passed or replaced, value=judged.lower, bound=0, reason=reason)


def _beats_a_useless_champion(evidence: Evidence, policy: GatePolicy) -> bool:
    """Return whether the champion is worse than the dummy on these rows, and the challenger surely better than it."""
    paired, dummy = evidence.comparison, evidence.dummy_comparison
    if paired is None or dummy is None or paired.confidence < policy.confidence:
        return False
    lead = paired.champion - dummy.champion
    is_useless = lead < 0 if evidence.greater_is_better else lead > 0
    error = evidence.error_share * error_of_try(1 - policy.confidence, evidence.attempt)
    return is_useless and proven_gain(paired, 0.0, error).passed


CHECK = GateCheck(
    name="dummy",
    place=60,
    summary="The challenger beats a model that looks at no feature, or a champion that does worse than such a model.",
    policy="dummy",
    judge=_judge,
    open_on_few_rows="always",
)
