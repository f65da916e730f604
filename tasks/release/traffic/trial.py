"""Trials on live traffic: what is known of a challenger that answers a share of it, and what is done with it. Pure.

A trial is a line of looks, each at a moment of event time. A look reads what both arms have answered by then, and says:
wait, go on with a larger share, release the challenger, or take it back. All that it may come to is set when the trial
begins; looking more often changes no probability of error (`everfit.tasks.statistics.sequential`).
"""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, FiniteFloat

from everfit.blocks.policy import format_duration
from everfit.blocks.trials import AbPolicy, CanaryPolicy
from everfit.tasks.core.records import Record, Window
from everfit.tasks.gate.check import number, percent
from everfit.tasks.gate.evidence import Check
from everfit.tasks.release.approval import why_superseded
from everfit.tasks.statistics.sequential import confidence_sequence, log_evidence_of_more

TRIAL = "trial"
"""Kind of the decisions that are made here."""

Verdict = Literal["wait", "grow", "release", "return"]

_CHECKS = 3  # errors, latency, quality: they share the probability of a wrong return
_SLOW_SHARE = 0.05  # of requests beyond a 95th percentile


class TrialPlan(Record):
    """What is tried, against what, and by which rules; set when the trial begins."""

    id: str = Field(description="The turn whose challenger it is.")
    model: str
    challenger: int
    champion: int
    policy: Annotated[CanaryPolicy | AbPolicy, Field(discriminator="kind")]
    metric: str
    since: AwareDatetime = Field(description="Event time from which the challenger answers.")


class QualityGap(Record):
    """How the arms' metric differs on the mature labels of one step."""

    challenger_rows: int
    champion_rows: int
    challenger: FiniteFloat
    champion: FiniteFloat
    gain: FiniteFloat = Field(description="Positive when the challenger is better.")
    standard_error: FiniteFloat


class StepEvidence(Record):
    """What the arms answered while the challenger had one share."""

    share: float
    window: Window
    challenger_rows: int = Field(default=0, description="Answers of the challenger.")
    champion_rows: int = 0
    labels: int = Field(default=0, description="Mature labels of the challenger's answers.")
    quality: QualityGap | None = None
    no_quality_reason: str = ""


class TrialEvidence(Record):
    """All that a look knows."""

    until: AwareDatetime
    champion: int | None = Field(description="The champion at this moment.")
    requests: int = Field(default=0, description="That the challenger was asked.")
    errors: int = Field(default=0, description="Those that the champion had to answer in its place.")
    timed: int = Field(default=0, description="Requests of the challenger with a latency.")
    slow: int = 0
    slow_from_ms: FiniteFloat | None = None
    steps: tuple[StepEvidence, ...] = Field(description="The present one last.")


class TrialLook(Record):
    """What a look came to."""

    verdict: Verdict
    share: float = Field(description="Of the challenger from now on; 0 when the trial is over.")
    reasons: tuple[str, ...]
    checks: tuple[Check, ...] = ()
    superseded: bool = Field(default=False, description="Whether it ended because another champion or trial came.")
    evidence: TrialEvidence | None = Field(default=None, description="None where a person or another release ended it.")


class TrialState(Record):
    """A trial as its looks have left it."""

    plan: TrialPlan
    steps: tuple[Window, ...] = Field(default=(), description="Steps that are over.")
    step_since: AwareDatetime
    looked_at: AwareDatetime = Field(description="The last look.")
    end: TrialLook | None = None

    @property
    def share(self) -> float:
        """Of the challenger."""
        return 0.0 if self.end else self.plan.policy.shares[len(self.steps)]

    def windows(self, until: datetime) -> tuple[Window, ...]:
        """The steps' spans of event time, the present one up to a moment."""
        return (*self.steps, Window(since=self.step_since, until=until))


def replay(plan: TrialPlan, looks: Sequence[tuple[datetime, TrialLook]]) -> TrialState:
    """What a trial has come to.

    Args:
        plan: As it began.
        looks: Moment and outcome of each, in any order.
    """
    state = TrialState(plan=plan, step_since=plan.since, looked_at=plan.since)
    for at, look in sorted(looks, key=lambda each: each[0]):
        change: dict[str, object] = {"looked_at": at}
        if look.verdict == "grow":
            change |= {"steps": state.windows(at), "step_since": at}
        if look.verdict in {"release", "return"}:
            change["end"] = look
        state = state.model_copy(update=change)
        if state.end is not None:
            break
    return state


def look(state: TrialState, evidence: TrialEvidence) -> TrialLook:
    """Decide.

    Args:
        state: The trial before this look.
        evidence: What is known at it.
    """
    plan, policy = state.plan, state.plan.policy
    why = why_superseded(plan.champion, evidence.champion)
    if why:
        return superseded_look(why).model_copy(update={"evidence": evidence})
    alpha = (1 - policy.confidence) / _CHECKS
    quality, bounds = _quality(state, evidence, alpha)
    checks = (_errors(plan, evidence, alpha), _latency(evidence, alpha), quality)
    failed = [check.reason for check in checks if not check.passed]
    if failed:
        return TrialLook(
            verdict="return", share=0, reasons=_told("Taken back", failed), checks=checks, evidence=evidence
        )
    waits = _waits_for(state, evidence, bounds)
    shares, step = policy.shares, len(state.steps)
    verdict: Verdict = "wait"
    if not waits:
        verdict = "release" if step + 1 == len(shares) else "grow"
    elif evidence.until - plan.since >= policy.max_time:
        why = f"{format_duration(policy.max_time)} have passed, and it {waits[0]}"
        return TrialLook(verdict="return", share=0, reasons=(f"Taken back: {why}",), checks=checks, evidence=evidence)
    share = {"wait": shares[step], "release": 0.0}.get(verdict, shares[min(step + 1, len(shares) - 1)])
    headline = {
        "wait": f"Answers {percent(share)} of the keys, and {waits[0] if waits else ''}",
        "grow": f"Answers {percent(share)} of the keys from now on, after {percent(shares[step])} without a fault",
        "release": f"Released after its trial: {quality.reason}",
    }[verdict]
    reasons = (headline, *(check.reason for check in checks))
    return TrialLook(verdict=verdict, share=share, reasons=reasons, checks=checks, evidence=evidence)


def stopped(by: str, why: str) -> TrialLook:
    """The end of a trial that a person stops."""
    return TrialLook(verdict="return", share=0, reasons=(f"Taken back by {by}: {why}",))


def superseded_look(why: str) -> TrialLook:
    """The end of a trial that something else overtook."""
    return TrialLook(verdict="return", share=0, reasons=(f"Taken back: {why}",), superseded=True)


def combined(steps: Sequence[StepEvidence]) -> tuple[float, float, int] | None:
    """The gain over all steps, its standard error, and the labels that it comes from; None without any.

    Each step is compared by itself, so that a time in which the challenger answered more doesn't count for it: the
    shares differ from step to step, and so may the rows. A step weighs by its rows of both arms.
    """
    gaps = [step.quality for step in steps if step.quality is not None]
    if not gaps:
        return None
    weights = [gap.challenger_rows * gap.champion_rows / (gap.challenger_rows + gap.champion_rows) for gap in gaps]
    total = sum(weights)
    gain = sum(weight * gap.gain for weight, gap in zip(weights, gaps, strict=True)) / total
    error = (
        math.sqrt(sum((weight * gap.standard_error) ** 2 for weight, gap in zip(weights, gaps, strict=True))) / total
    )
    return gain, error, sum(gap.challenger_rows + gap.champion_rows for gap in gaps)


def _errors(plan: TrialPlan, evidence: TrialEvidence, alpha: float) -> Check:
    bound = plan.policy.max_error_rate
    share = evidence.errors / evidence.requests if evidence.requests else 0.0
    surely = log_evidence_of_more(evidence.errors, evidence.requests, bound) >= -math.log(alpha)
    told = f"it failed on {evidence.errors:,} of {evidence.requests:,} requests"
    reason = f"{told}, surely more than {percent(bound)}" if surely else f"{told}; {percent(bound)} is allowed"
    return Check(name="errors", passed=not surely, value=share, bound=bound, reason=reason)


def _latency(evidence: TrialEvidence, alpha: float) -> Check:
    if evidence.slow_from_ms is None:
        reason = "no latencies of both arms to compare yet"
        return Check(name="latency", passed=True, reason=reason)
    share = evidence.slow / evidence.timed if evidence.timed else 0.0
    surely = log_evidence_of_more(evidence.slow, evidence.timed, _SLOW_SHARE) >= -math.log(alpha)
    told = f"{evidence.slow:,} of {evidence.timed:,} requests took over {evidence.slow_from_ms:.0f} ms"
    reason = f"{told}, surely more than {percent(_SLOW_SHARE)}" if surely else f"{told}; {percent(_SLOW_SHARE)} may"
    return Check(name="latency", passed=not surely, value=share, bound=_SLOW_SHARE, reason=reason)


def _quality(state: TrialState, evidence: TrialEvidence, alpha: float) -> tuple[Check, tuple[float, float] | None]:
    policy, metric = state.plan.policy, state.plan.metric
    labels = sum(step.labels for step in evidence.steps)
    found = combined(evidence.steps)
    if labels < policy.min_labels or found is None:
        why = "; ".join(dict.fromkeys(step.no_quality_reason for step in evidence.steps if step.no_quality_reason))
        reason = f"{labels:,} mature labels of its answers, {policy.min_labels:,} are needed" + (
            f" ({why})" if why else ""
        )
        return Check(name="quality", passed=True, bound=-policy.margin, reason=reason), None
    gain, error, rows = found
    bounds = confidence_sequence(gain, error, rows, alpha=alpha, tightest_at=10 * policy.min_labels)
    surely = bounds[1] < -policy.margin
    told = (
        f"{metric} differs by {number(gain)} (between {number(bounds[0])} and {number(bounds[1])}) on {labels:,} labels"
    )
    reason = f"{told}, surely worse than the champion's" if surely else told
    return Check(name="quality", passed=not surely, value=gain, bound=-policy.margin, reason=reason), bounds


def _waits_for(state: TrialState, evidence: TrialEvidence, bounds: tuple[float, float] | None) -> list[str]:
    """What a step, or the whole trial, still waits for; nothing when it is over."""
    policy, step = state.plan.policy, evidence.steps[-1]
    waits = []
    if evidence.until - state.step_since < policy.bake_time:
        left = policy.bake_time - (evidence.until - state.step_since)
        waits.append(f"bakes for another {format_duration(_rounded(left))}")
    if step.challenger_rows < policy.min_rows:
        waits.append(f"has {step.challenger_rows:,} answers in this step; {policy.min_rows:,} are needed")
    if len(state.steps) + 1 < len(policy.shares):
        return waits
    if bounds is None:
        waits.append(f"waits for {policy.min_labels:,} mature labels")
    elif policy.kind == "ab" and bounds[0] <= -policy.margin:
        shown = f"no worse by {number(policy.margin)}" if policy.margin else "better"
        waits.append(f"is not shown to be {shown} yet")
    return waits


def _rounded(span: timedelta) -> timedelta:
    return timedelta(seconds=math.ceil(span.total_seconds()))


def _told(headline: str, failed: Sequence[str]) -> tuple[str, ...]:
    return (f"{headline}: {failed[0]}", *failed[1:])
