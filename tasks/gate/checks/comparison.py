"""The challenger is better than the champion (or not much worse), with confidence."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.core.paired_comparison import PairedComparison
from everfit.tasks.gate.check import Checks, GateCheck, missing, number, percent, too_unsure
from everfit.tasks.gate.evidence import Check, Evidence


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    if evidence.champion_version is None:
        return
    name, paired = "comparison", evidence.comparison
    if paired is None:
        what = f"how the challenger compares with champion {evidence.champion_version}"
        yield missing(name, what, evidence.not_measured.get(name))
        return
    if paired.confidence < policy.confidence:
        yield too_unsure(name, paired, policy)
        return
    bound = policy.min_gain if policy.margin is None else -policy.margin
    passed = paired.lower > bound
    asked = f"it must be above {number(bound)}"
    joined = "but" if paired.difference > 0 and not passed else "and"
    sure = f"the {percent(paired.confidence)} lower bound of the gain is {number(paired.lower)} on {paired.rows:,} rows"
    reason = f"{_difference(paired)}, {joined} {sure}; {asked}"
    if paired.method == "identical":
        reason = (
            f"the challenger answers exactly as the champion does on {paired.rows:,} rows; the gain is 0, and {asked}"
        )
    yield Check(name=name, passed=passed, value=paired.lower, bound=bound, reason=reason)


def _difference(paired: PairedComparison) -> str:
    above = "above" if paired.challenger > paired.champion else "below"
    by = f"{number(abs(paired.difference))} {above}" if paired.difference else "equal to"
    return (
        f"the challenger's {paired.metric} {number(paired.challenger)} is {by} the champion's {number(paired.champion)}"
    )


CHECK = GateCheck(
    name="comparison",
    place=70,
    summary="The challenger is better than the champion (or not much worse), with confidence.",
    policy="comparison",
    judge=_judge,
    open_on_few_rows=True,
)
