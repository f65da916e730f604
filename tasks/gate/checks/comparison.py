"""The challenger is better than the champion (or not much worse), with confidence.

The confidence holds over the life of a champion, not for each try alone: of many challengers that are no better, one
would pass sooner or later. The k-th try since the champion's release is therefore judged with the share .6 / k^1.3 of
the allowed error. From the third try on, these shares add up to more than 1. But a try sees the rows of the tries
before it again, so they err together: P. Armitage, C. McPherson and B. Rowe, "Repeated significance tests on
accumulating data", Journal of the Royal Statistical Society A 132 (1969). Simulated with independent rows, of which
each try sees at least a third as many again, all tries together err in at most 5 % where 5 % is allowed.

How closely neighbouring days hang together, which the bound's error rests on, the days of earlier champions tell too:
see `earlier_gains`.

Where earlier releases of the model have paid, a life may err more often: see `earlier_releases`.

Where the gain within days is more certain than the gain over all rows, a proof of either is enough, and the two share
the error of the try. A proof within days counts only if the challenger is ahead over all rows too.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from everfit.blocks.gating import GatePolicy
from everfit.tasks.core.figures import in_digits
from everfit.tasks.core.paired_comparison import PairedComparison
from everfit.tasks.gate.check import Checks, GateCheck, missing, number, percent, too_unsure
from everfit.tasks.gate.earlier_releases import EarlierRelease, newest_in_words, release_odds
from everfit.tasks.gate.evidence import Check, Evidence

_NAME = "comparison"
_WITHIN_SHARE = 0.8
"""The share of a try's error for the gain within groups of time, where that gain is the more certain one."""
FIRST_SHARE, DECAY = 0.6, 1.3
"""The share of the first try since a release, and the power of the number of a try by which the shares fall."""

MOST = 0.4
"""The most error that a try may make, whatever has paid before: the challenger must be ahead."""


def _judge(evidence: Evidence, policy: GatePolicy) -> Checks:
    if evidence.champion_version is None:
        return
    paired = evidence.decisive
    if paired is None:
        subject = f"how the challenger compares with champion {evidence.champion_version}"
        yield missing(_NAME, subject, evidence.not_measured.get(_NAME))
        return
    if paired.confidence < policy.confidence:
        yield too_unsure(_NAME, paired, policy)
        return
    judged = judge_decisive(evidence, paired, policy)
    yield Check(
        name=_NAME,
        passed=judged.passed,
        value=judged.lower,
        bound=judged.bound,
        reason=_reason(evidence, paired, judged),
    )


_GROWTHS = tuple(round(2 ** (step / 12), 3) for step in range(37))
"""The growths of the rows that are looked at, up to eight times."""


class JudgedGain(NamedTuple):
    """The lower bound of the challenger's gain that decides, and what it must exceed.

    Attributes:
        passed: Whether the gain is shown.
        lower: The lower bound: within groups of time if that decides, otherwise over all rows.
        bound: The bound that it must exceed.
        confidence: The confidence of the lower bound.
        within: Whether it is a gain within groups of time.
    """

    passed: bool
    lower: float
    bound: float
    confidence: float
    within: bool = False


def judge_decisive(evidence: Evidence, paired: PairedComparison, policy: GatePolicy) -> JudgedGain:
    """Judge the comparison that decides. The bounds of the policy are in units of the metric, so worth needs a gain.

    Args:
        evidence: The evidence.
        paired: Its decisive comparison.
        policy: The policy of the gate.
    """
    if paired is evidence.comparison:
        return judge_gain(paired, policy, evidence.attempt, evidence.allowed_share)
    error = error_of_try(1 - policy.confidence, evidence.attempt, evidence.allowed_share)
    return proven_gain(paired, 0.0, error)


def judge_gain(paired: PairedComparison, policy: GatePolicy, attempt: int, share: float = 1.0) -> JudgedGain:
    """Judge a gain over the champion.

    Args:
        paired: How challenger and champion differ.
        policy: The policy of the gate.
        attempt: Number of the try since the champion's release, from 1 on.
        share: A factor of the error of the try.
    """
    bound = policy.min_gain if policy.margin is None else -policy.margin
    return proven_gain(paired, bound, error_of_try(1 - policy.confidence, attempt, share))


def proven_gain(paired: PairedComparison, bound: float, error: float) -> JudgedGain:
    """Judge whether a gain exceeds a bound, over all rows or within groups of time.

    Args:
        paired: How two models differ.
        bound: The bound.
        error: The allowed probability of a proof where there is no such gain.
    """
    share = 1.0 if paired.within is None else 1 - _WITHIN_SHARE
    lower = paired.difference - paired.reach(1 - share * error)
    whole = JudgedGain(lower > bound, lower, bound, 1 - share * error)
    if paired.within is None or whole.passed or paired.within.standard_error == 0:
        return whole  # without an error, both rank the rows of each time alike, which tells nothing
    confidence = 1 - _WITHIN_SHARE * error
    lower = paired.within.difference - paired.within.reach(confidence)
    return JudgedGain(lower > bound and paired.difference > bound, lower, bound, confidence, within=True)


def growth_to_show(paired: PairedComparison, bound: float, attempt: int, share: float = 1.0) -> float | None:
    """Return how many times as many rows would show a gain in the next try, if it stays as measured.

    Args:
        paired: How challenger and champion differ.
        bound: The gain must exceed it.
        attempt: Number of the try that measured it, since the champion's release.
        share: A factor of the error of the try.

    Returns:
        None if there is no such gain, or if it takes more than eight times as many rows.
    """
    error = error_of_try(1 - paired.confidence, attempt + 1, share)
    within, whole_share = paired.within, 1.0 if paired.within is None else 1 - _WITHIN_SHARE
    for growth in _GROWTHS:
        if paired.difference - bound > paired.reach(1 - whole_share * error, growth):
            return growth
        if within is not None and within.difference - bound > within.reach(1 - _WITHIN_SHARE * error, growth):
            return growth
    return None


def error_of_try(error: float, attempt: int, share: float = 1.0) -> float:
    """Return the error that one try may make, so that all tries on growing rows together make no more than `error`.

    Args:
        error: The allowed probability of a wrong release over the life of a champion.
        attempt: Number of the try since the champion's release, from 1 on.
        share: A factor of this error, up to `MOST`.

    Example:
        >>> round(error_of_try(0.05, 1), 4), round(error_of_try(0.05, 2), 4)
        (0.03, 0.0122)
    """
    return min(MOST, share * FIRST_SHARE * error / float(attempt**DECAY))


def _reason(evidence: Evidence, paired: PairedComparison, judged: JudgedGain) -> str:
    wanted = f"it must be above {number(judged.bound)}"
    rows = f"{paired.rows:,} rows"
    if paired.method == "identical":
        return f"the challenger answers exactly as the champion does on {rows}; the gain is 0, and {wanted}"
    gain, within = paired.difference, ""
    if judged.within and paired.within is not None:
        gain = paired.within.difference
        but = "but " if gain <= 0 < paired.difference else ""
        within = f", {but}within {paired.within.grouped_by} by {number(gain)}"
    joined = "but" if gain > 0 and not judged.passed else "and"
    tries = "" if evidence.attempt == 1 else f" in try {evidence.attempt} since the champion's release"
    sure = (
        f"the {percent(round(judged.confidence, 4))} lower bound of {'that' if within else 'the'} gain{tries} is "
        f"{number(judged.lower)} on {rows}"
    )
    known = "; ".join(filter(None, [_earlier_groups(paired, judged), _paid(evidence.earlier_releases)]))
    by = f" ({known})" if known else ""
    result = f"{_difference(paired)}{within}, {joined} {sure}{by}; {wanted}"
    return result if judged.passed else f"{result}. {_power(paired, gain, judged)}"


def _earlier_groups(paired: PairedComparison, judged: JudgedGain) -> str:
    """Return by what the error is known, if earlier comparisons of the model count too."""
    decides = paired.within if judged.within and paired.within is not None else paired
    if not decides.earlier_groups:
        return ""
    return f"its error counts {decides.earlier_groups:,} earlier {decides.grouped_by} too"


def _paid(releases: Sequence[EarlierRelease]) -> str:
    """Return why the confidence is another one than usual, if earlier releases have shown how often one pays."""
    if not releases:
        return ""
    odds = release_odds(releases)
    how = "paid" if odds > 1 else "did not pay"
    return f"as {newest_in_words(releases)} {how}: {in_digits(odds)} x the usual error"


def _power(paired: PairedComparison, gain: float, judged: JudgedGain) -> str:
    """Return which gain would have shown on these rows, and how many rows the measured gain would need."""
    reach = gain - judged.lower
    within = f" within {paired.within.grouped_by}" if judged.within and paired.within is not None else ""
    shown = f"A gain{within} of {number(judged.bound + reach)} or more would have shown"
    beyond = gain - judged.bound
    if beyond <= 0 or reach < beyond:
        return shown
    more = paired.rows * ((reach / beyond) ** 2 - 1)
    return f"{shown}; to show {number(gain)}, it takes about {_rounded(more):,} more rows"


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
