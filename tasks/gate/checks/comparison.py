"""The challenger is better than the champion (or not much worse), with confidence."""

from everfit.blocks.gating import GatePolicy
from everfit.tasks.core.paired_comparison import PairedComparison
from everfit.tasks.gate.check import Checks, GateCheck, missing, number, percent, too_unsure
from everfit.tasks.gate.evidence import Check, Evidence


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    if evidence.champion_version is None:
        return
    name, found = "comparison", evidence.comparison
    if found is None:
        what = f"how the challenger compares with champion {evidence.champion_version}"
        yield missing(name, what, evidence.not_measured.get(name))
        return
    if found.confidence < policy.confidence:
        yield too_unsure(name, found, policy)
        return
    bound = policy.min_gain if policy.margin is None else -policy.margin
    passed = found.lower > bound
    asked = f"it must be above {number(bound)}"
    joined = "but" if found.difference > 0 and not passed else "and"
    sure = f"the {percent(found.confidence)} lower bound of the gain is {number(found.lower)} on {found.rows:,} rows"
    reason = f"{_told(found)}, {joined} {sure}; {asked}"
    if found.method == "identical":
        reason = (
            f"the challenger answers exactly as the champion does on {found.rows:,} rows; the gain is 0, and {asked}"
        )
    yield Check(name=name, passed=passed, value=found.lower, bound=bound, reason=reason)


def _told(found: PairedComparison) -> str:
    above = "above" if found.challenger > found.champion else "below"
    by = f"{number(abs(found.difference))} {above}" if found.difference else "equal to"
    return f"the challenger's {found.metric} {number(found.challenger)} is {by} the champion's {number(found.champion)}"


CHECK = GateCheck(
    name="comparison",
    place=70,
    summary="The challenger is better than the champion (or not much worse), with confidence.",
    policy="comparison",
    judge=_judge,
    open_on_few_rows=True,
)
