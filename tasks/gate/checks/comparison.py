"""The challenger is better than the champion (or not much worse), with confidence.

The confidence holds over the life of a champion, not for each try alone: of many challengers that are no better, one
would pass sooner or later. The k-th try since the champion's release is therefore judged with the share 6 / (pi k)^2
of the allowed error; these shares add up to 1.
"""

import math

from everfit.blocks.gating import GatePolicy
from everfit.tasks.core.paired_comparison import PairedComparison
from everfit.tasks.gate.check import Checks, GateCheck, missing, number, percent, too_unsure
from everfit.tasks.gate.evidence import Check, Evidence

_NAME = "comparison"


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    if evidence.champion_version is None:
        return
    paired = evidence.comparison
    if paired is None:
        subject = f"how the challenger compares with champion {evidence.champion_version}"
        yield missing(_NAME, subject, evidence.not_measured.get(_NAME))
        return
    if paired.confidence < policy.confidence:
        yield too_unsure(_NAME, paired, policy)
        return
    bound = policy.min_gain if policy.margin is None else -policy.margin
    confidence = 1 - error_of_try(1 - policy.confidence, evidence.attempt)
    lower = paired.difference - paired.reach(confidence)
    reason = _reason(evidence, paired, lower, bound, confidence)
    yield Check(name=_NAME, passed=lower > bound, value=lower, bound=bound, reason=reason)


def error_of_try(error: float, attempt: int) -> float:
    """Return the error that one try may make, so that all tries together make no more than `error`.

    Args:
        error: The allowed probability of a wrong release over the life of a champion.
        attempt: Number of the try since the champion's release, from 1 on.

    Example:
        >>> round(error_of_try(0.05, 1), 4), round(error_of_try(0.05, 2), 4)
        (0.0304, 0.0076)
    """
    return error * 6 / (math.pi * attempt) ** 2


def _reason(evidence: Evidence, paired: PairedComparison, lower: float, bound: float, confidence: float) -> str:
    wanted = f"it must be above {number(bound)}"
    rows = f"{paired.rows:,} rows"
    if paired.method == "identical":
        return f"the challenger answers exactly as the champion does on {rows}; the gain is 0, and {wanted}"
    passed = lower > bound
    joined = "but" if paired.difference > 0 and not passed else "and"
    tries = "" if evidence.attempt == 1 else f" in try {evidence.attempt} since the champion's release"
    sure = f"the {percent(round(confidence, 4))} lower bound of the gain{tries} is {number(lower)} on {rows}"
    result = f"{_difference(paired)}, {joined} {sure}; {wanted}"
    return result if passed else f"{result}. {_power(paired, lower, bound)}"


def _power(paired: PairedComparison, lower: float, bound: float) -> str:
    """Return which gain would have shown on these rows, and how many rows the measured gain would need."""
    reach = paired.difference - lower
    shown = f"A gain of {number(bound + reach)} or more would have shown"
    beyond = paired.difference - bound
    if beyond <= 0:
        return shown
    more = paired.rows * ((reach / beyond) ** 2 - 1)
    return f"{shown}; to show {number(paired.difference)}, it takes about {_rounded(more):,} more rows"


def _rounded(rows: float) -> int:
    """Round to two digits: the estimate is no better than that."""
    digits = max(0, math.floor(math.log10(max(rows, 1))) - 1)
    step: int = 10**digits
    return round(rows / step) * step


def _difference(paired: PairedComparison) -> str:
    above = "above" if paired.challenger > paired.champion else "below"
    by = f"{number(abs(paired.difference))} {above}" if paired.difference else "equal to"
    return (
        f"the challenger's {paired.metric} {number(paired.challenger)} is {by} the champion's {number(paired.champion)}"
    )


CHECK = GateCheck(
    name=_NAME,
    place=70,
    summary="The challenger is better than the champion (or not much worse), with confidence.",
    policy="comparison",
    judge=_judge,
    open_on_few_rows="always",
)
