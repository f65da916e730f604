"""The gate: decides from evidence whether a challenger is released.

Pure: the same evidence and policy give the same decision, with the same id, anywhere and at any time. Each check
says in words what it found. One that is on and has no evidence does not pass.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from everfit.blocks.gating import LEVELS, GatePolicy, Level
from everfit.tasks.core.figures import Figure
from everfit.tasks.core.paired_comparison import PairedComparison
from everfit.tasks.core.records import Record
from everfit.tasks.gate.check import number, percent
from everfit.tasks.gate.checks import CHECKS
from everfit.tasks.gate.checks.comparison import JudgedGain, judge_decisive
from everfit.tasks.gate.comparison_sum import comparison_figures
from everfit.tasks.gate.earlier_releases import EarlierRelease, newest_in_words, release_odds
from everfit.tasks.gate.evidence import Check, Evidence
from everfit.tasks.gate.suspicion import suspicion
from everfit.tasks.gate.waiting import may_wait

__all__ = ["Check", "Evidence", "GateDecision", "decide"]

Verdict = Literal["promote", "keep", "needs_approval"]


def _is_off(value: object) -> bool:
    return not value  # left out of the JSON, so that an earlier decision stays word for word


class GateDecision(Record):
    """Whether a challenger is released, and why."""

    id: str = Field(description="From the evidence and the policy alone.")
    verdict: Verdict
    reasons: tuple[str, ...] = Field(description="In words; the first alone tells the story.")
    checks: tuple[Check, ...]
    risk: Level = Field(description="The level of the release's risk.")
    extend_holdout: bool = Field(default=False, description="Compare again on more rows, further back in time.")
    waits: bool = Field(
        default=False, exclude_if=_is_off, description="Kept only for want of evidence, so it may be judged again."
    )
    figures: tuple[Figure, ...] = Field(
        default=(), exclude_if=_is_off, description="The sum behind the comparison with the champion."
    )
    evidence_digest: str
    policy_digest: str

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)


def decide(evidence: Evidence, policy: GatePolicy) -> GateDecision:
    """Decide whether a challenger takes the champion's place.

    Args:
        evidence: The evidence.
        policy: The policy of the gate.

    Returns:
        `promote` when every check passes and no person has to be asked, `needs_approval` when a person has to,
        `keep` otherwise.
    """
    results = [(check, result) for check in CHECKS for result in check.judge(evidence, policy)]
    checks = tuple(result for _, result in results)
    failed = [check for check in checks if not check.passed]
    too_small = any(check.name == "hold-out size" for check in failed)
    only_unsure = too_small and all(check.is_open(result) for check, result in results if not result.passed)
    risk = policy.risk.level(raised=int(evidence.champion_version is None))
    approval_reason = suspicion(evidence, policy) or _asks_for_approval(policy, risk)
    verdict: Verdict = "keep"
    if not failed:
        verdict = "needs_approval" if approval_reason else "promote"
    elif only_unsure and policy.small_holdout == "ask":
        verdict, approval_reason = "needs_approval", "gate.small_holdout is `ask`"
    extend = only_unsure and policy.small_holdout == "extend" and not evidence.holdout_extended
    policy_digest = hashlib.sha256(
        json.dumps(policy.model_dump(mode="json"), sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()
    return GateDecision(
        id=hashlib.sha256(f"{evidence.digest()}:{policy_digest}".encode()).hexdigest()[:16],
        verdict=verdict,
        reasons=_reasons(evidence, policy, verdict, failed, approval_reason),
        checks=checks,
        risk=risk,
        extend_holdout=extend,
        waits=verdict == "keep" and not extend and may_wait(evidence, failed, policy),
        figures=comparison_figures(evidence, policy),
        evidence_digest=evidence.digest(),
        policy_digest=policy_digest,
    )


def _asks_for_approval(policy: GatePolicy, risk: Level) -> str:
    """Return the reason why a person must decide, or an empty text."""
    if policy.approval == "always":
        return "gate.approval is `always`"
    if policy.approval == "on_risk" and LEVELS.index(risk) >= LEVELS.index(policy.risk.approve_from):
        return f"the risk of this release is {risk}, and a person decides from {policy.risk.approve_from} on"
    return ""


def _reasons(
    evidence: Evidence, policy: GatePolicy, verdict: Verdict, failed: list[Check], approval_reason: str
) -> tuple[str, ...]:
    champion = evidence.champion_version
    if verdict == "keep":
        kept = f"Kept champion {champion}" if champion is not None else "Released nothing, so there is no champion yet"
        if evidence.replaces is not None:
            kept = f"Kept champion {evidence.replaces} (which can't be loaded)"
        more = len(failed) - 1
        others = "" if not more else f" (and {more} more reason{'s' if more > 1 else ''})"
        return (f"{kept}: {failed[0].reason}{others}", *(check.reason for check in failed[1:]), *_remedies(evidence))
    name = "the challenger" if evidence.challenger_version is None else f"challenger {evidence.challenger_version}"
    place = "as the first champion" if champion is None else f"over champion {champion}"
    if evidence.replaces is not None:
        place = f"in place of champion {evidence.replaces} (which can't be loaded)"
    if verdict == "needs_approval":
        headline = f"Waits for approval of {name} {place}, because {approval_reason}: {_achieved(evidence, policy)}"
        return (headline, *(check.reason for check in failed), *_remedies(evidence))
    broken = (evidence.broken_champion,) if evidence.broken_champion else ()
    return (f"Promoted {name} {place}: {_achieved(evidence, policy)}", *broken, *_remedies(evidence))


def _remedies(evidence: Evidence) -> tuple[str, ...]:
    """Return which smaller remedies were tried and why one was taken or none, if any were tried."""
    return () if evidence.remedies is None else (evidence.remedies.summary,)


def _achieved(evidence: Evidence, policy: GatePolicy) -> str:
    """Return the challenger's result in one clause."""
    against, other = evidence.decisive, "the champion's"
    if evidence.champion_version is None:
        against, other = evidence.dummy_comparison, "the dummy's"
    value = number(evidence.challenger.get(evidence.metric))
    if against is None:
        return f"{evidence.metric} {value} on {evidence.holdout_rows:,} rows"
    if against.metric != evidence.metric:
        value = number(against.challenger)
    values = f"{against.metric} {value} against {other} {number(against.champion)}"
    judged = None if evidence.champion_version is None else judge_decisive(evidence, against, policy)
    return f"{values} on {against.rows:,} rows; {_bound(against, judged, evidence.earlier_releases)}"


def _bound(comparison: PairedComparison, judged: JudgedGain | None, earlier: Sequence[EarlierRelease]) -> str:
    sure = percent(comparison.confidence)
    if comparison.lower >= 0:
        return (
            f"the gain of {number(comparison.difference)} is at least {number(comparison.lower)} with {sure} confidence"
        )
    within = comparison.within
    if within is not None and (lower := within.difference - within.reach(comparison.confidence)) > 0:
        return (
            f"the gain of {number(within.difference)} within {within.grouped_by} is at least {number(lower)} with "
            f"{sure} confidence"
        )
    if judged is not None and judged.passed and judged.lower > 0 and release_odds(earlier) > 1:
        gain, groups = comparison.difference, ""
        if judged.within and within is not None:
            gain, groups = within.difference, f" within {within.grouped_by}"
        confidence = percent(round(judged.confidence, 4))
        enough = f"with {confidence} confidence, which is enough, as {newest_in_words(earlier)} paid"
        return f"the gain of {number(gain)}{groups} is at least {number(judged.lower)} {enough}"
    return f"a loss is at most {number(-comparison.lower)} with {sure} confidence"
