"""Traffic trials: the rules by which a challenger with a share of live traffic is released or returned. Pure.

A trial is a series of looks, each at a moment of event time. A look compares the predictions of both arms so far. Its
verdict is to wait, to grow the share, to release the challenger, or to return it. The rules are fixed when the trial
begins. More frequent looks don't change the error probability (`everfit.tasks.statistics.sequential`).
"""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, FiniteFloat

from everfit.blocks.policy import format_duration
from everfit.blocks.trials import AbPolicy, CanaryPolicy, ShadowPolicy
from everfit.tasks.core.records import Record, Window
from everfit.tasks.evaluation.answer_divergence import ShadowLatency, SliceDivergence, divergence_texts
from everfit.tasks.gate.check import number, percent
from everfit.tasks.gate.evidence import Check
from everfit.tasks.release.approval import why_superseded
from everfit.tasks.statistics.sequential import confidence_sequence, log_evidence_of_more

TRIAL = "trial"
"""Kind of these decisions in the ledger."""

TrialVerdict = Literal["wait", "grow", "release", "return"]

_CHECKS = 3  # errors, latency and quality share the probability of a wrong return
_SLOW_SHARE = 0.05  # of requests beyond a 95th percentile


class TrialPlan(Record):
    """The versions and the rules of a trial, fixed when it begins."""

    id: str = Field(description="The turn that trained the challenger.")
    model: str
    challenger: int
    champion: int
    policy: Annotated[CanaryPolicy | AbPolicy | ShadowPolicy, Field(discriminator="kind")]
    metric: str
    since: AwareDatetime = Field(description="Event time from which the challenger gets traffic.")

    @property
    def is_shadow(self) -> bool:
        """Whether nobody sees the challenger's predictions."""
        return self.policy.kind == "shadow"


class QualityGap(Record):
    """The difference of the arms' metric on the mature labels of one step."""

    challenger_rows: int
    champion_rows: int
    challenger: FiniteFloat
    champion: FiniteFloat
    gain: FiniteFloat = Field(description="Positive when the challenger is better.")
    standard_error: FiniteFloat


class StepEvidence(Record):
    """Counts and quality of the arms while the challenger had one share."""

    share: float
    window: Window
    challenger_rows: int = Field(default=0, description="Predictions of the challenger.")
    champion_rows: int = 0
    labels: int = Field(default=0, description="Mature labels of the challenger's predictions.")
    quality: QualityGap | None = None
    agreement: FiniteFloat | None = Field(
        default=None,
        exclude_if=lambda share: share is None,
        description="Share of the rows with the same answer of both, in a shadow; of numbers, their correlation.",
    )
    divergence: tuple[SliceDivergence, ...] = Field(
        default=(),
        exclude_if=lambda slices: not slices,
        description="How much the answers of a shadow differ from the champion's by slice, most first.",
    )
    no_quality_reason: str = ""


class TrialEvidence(Record):
    """The evidence of one look."""

    until: AwareDatetime
    champion: int | None = Field(description="The champion at that moment.")
    requests: int = Field(default=0, description="Requests to the challenger.")
    errors: int = Field(default=0, description="Requests that failed and that the champion answered.")
    timed: int = Field(default=0, description="Requests of the challenger with a latency.")
    slow: int = 0
    slow_from_ms: FiniteFloat | None = None
    latency: ShadowLatency | None = Field(
        default=None,
        exclude_if=lambda latency: latency is None,
        description="How long requests to a shadow and to the champion take.",
    )
    left_out: int = Field(
        default=0,
        exclude_if=lambda rows: rows == 0,
        description="Answers of clients that have more than their largest share; nothing else counts them.",
    )
    drawn: FiniteFloat | None = Field(
        default=None,
        exclude_if=lambda share: share is None,
        description="Share of the keys, and of the requests, that were looked at, where there are very many; the "
        "predictions of a step are computed from it, other counts are of the draw.",
    )
    steps: tuple[StepEvidence, ...] = Field(description="The present one last.")


class TrialLook(Record):
    """The result of a look."""

    verdict: TrialVerdict
    share: float = Field(description="The challenger's share from now on; 0 when the trial is over.")
    reasons: tuple[str, ...]
    checks: tuple[Check, ...] = ()
    superseded: bool = Field(default=False, description="Whether another champion or trial ended it.")
    evidence: TrialEvidence | None = Field(default=None, description="None if a person or another release ended it.")


class TrialState(Record):
    """The state of a trial after its looks."""

    plan: TrialPlan
    steps: tuple[Window, ...] = Field(default=(), description="Completed steps.")
    step_since: AwareDatetime
    looked_at: AwareDatetime = Field(description="Moment of the last look.")
    end: TrialLook | None = None

    @property
    def share(self) -> float:
        """The challenger's share of the keys."""
        return 0.0 if self.end else self.plan.policy.shares[len(self.steps)]

    def windows(self, until: datetime) -> tuple[Window, ...]:
        """Return the steps' spans of event time; the present one ends at a moment."""
        return (*self.steps, Window(since=self.step_since, until=until))


def replay(plan: TrialPlan, looks: Sequence[tuple[datetime, TrialLook]]) -> TrialState:
    """Return the state of a trial after its looks.

    Args:
        plan: The plan of the trial.
        looks: Moment and result of each look, in any order.
    """
    state = TrialState(plan=plan, step_since=plan.since, looked_at=plan.since)
    for at, look in sorted(looks, key=lambda entry: entry[0]):
        change: dict[str, object] = {"looked_at": at}
        if look.verdict == "grow":
            change |= {"steps": state.windows(at), "step_since": at}
        if look.verdict in {"release", "return"}:
            change["end"] = look
        state = state.model_copy(update=change)
        if state.end is not None:
            break
    return state


def judge_trial(state: TrialState, evidence: TrialEvidence) -> TrialLook:
    """Decide how a trial goes on.

    Args:
        state: The trial before this look.
        evidence: The evidence of this look.
    """
    plan, policy = state.plan, state.plan.policy
    reason = why_superseded(plan.champion, evidence.champion)
    if reason:
        return superseded_look(reason).model_copy(update={"evidence": evidence})
    alpha = (1 - policy.confidence) / (1 if plan.is_shadow else _CHECKS)
    quality, bounds = _quality(state, evidence, alpha)
    checks = (quality,) if plan.is_shadow else (_errors(plan, evidence, alpha), _latency(evidence, alpha), quality)
    failed = [check.reason for check in checks if not check.passed]
    if failed:
        return TrialLook(
            verdict="return",
            share=0,
            reasons=(*_with_headline("Returned", failed), *_left_out(evidence)),
            checks=checks,
            evidence=evidence,
        )
    waits = _waits_for(state, evidence, bounds)
    shares, step = policy.shares, len(state.steps)
    verdict: TrialVerdict = "wait"
    if not waits:
        verdict = "release" if step + 1 == len(shares) else "grow"
    elif evidence.until - plan.since >= policy.max_time:
        reason = f"{format_duration(policy.max_time)} have passed, and it {waits[0]}"
        return TrialLook(verdict="return", share=0, reasons=(f"Returned: {reason}",), checks=checks, evidence=evidence)
    share = {"wait": shares[step], "release": 0.0}.get(verdict, shares[min(step + 1, len(shares) - 1)])
    gets = "Predicts in the shadow" if plan.is_shadow else f"Gets {percent(share)} of the keys"
    headline = {
        "wait": f"{gets}, and {waits[0] if waits else ''}",
        "grow": f"Gets {percent(share)} of the keys from now on, after {percent(shares[step])} without a failed check",
        "release": f"Released after its trial: {quality.reason}",
    }[verdict]
    reasons = (headline, *(check.reason for check in checks), *_agreement(evidence), *_left_out(evidence))
    return TrialLook(verdict=verdict, share=share, reasons=reasons, checks=checks, evidence=evidence)


def stopped_look(by: str, reason: str) -> TrialLook:
    """Return the end of a trial that a person stops."""
    return TrialLook(verdict="return", share=0, reasons=(f"Returned by {by}: {reason}",))


def superseded_look(reason: str) -> TrialLook:
    """Return the end of a trial that another champion or trial supersedes."""
    return TrialLook(verdict="return", share=0, reasons=(f"Returned: {reason}",), superseded=True)


def combined_gain(steps: Sequence[StepEvidence]) -> tuple[float, float, int] | None:
    """Return the gain over all steps, its standard error and its number of labels; None without any labels.

    Each step is compared separately, because shares and rows differ between steps. A step is weighted by the rows of
    both arms.
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
    above = log_evidence_of_more(evidence.errors, evidence.requests, bound) >= -math.log(alpha)
    count = f"it failed on {evidence.errors:,} of {evidence.requests:,} requests"
    reason = f"{count}, significantly above {percent(bound)}" if above else f"{count}; the limit is {percent(bound)}"
    return Check(name="errors", passed=not above, value=share, bound=bound, reason=reason)


def _latency(evidence: TrialEvidence, alpha: float) -> Check:
    if evidence.slow_from_ms is None:
        reason = "no latencies of both arms to compare yet"
        return Check(name="latency", passed=True, reason=reason)
    share = evidence.slow / evidence.timed if evidence.timed else 0.0
    above = log_evidence_of_more(evidence.slow, evidence.timed, _SLOW_SHARE) >= -math.log(alpha)
    count = f"{evidence.slow:,} of {evidence.timed:,} requests took over {evidence.slow_from_ms:.0f} ms"
    limit = percent(_SLOW_SHARE)
    reason = f"{count}, significantly above {limit}" if above else f"{count}; the limit is {limit}"
    return Check(name="latency", passed=not above, value=share, bound=_SLOW_SHARE, reason=reason)


def _quality(state: TrialState, evidence: TrialEvidence, alpha: float) -> tuple[Check, tuple[float, float] | None]:
    policy, metric = state.plan.policy, state.plan.metric
    labels = sum(step.labels for step in evidence.steps)
    combined = combined_gain(evidence.steps)
    if labels < policy.min_labels or combined is None:
        details = "; ".join(dict.fromkeys(step.no_quality_reason for step in evidence.steps if step.no_quality_reason))
        reason = f"{labels:,} mature labels of its predictions, {policy.min_labels:,} are needed" + (
            f" ({details})" if details else ""
        )
        return Check(name="quality", passed=True, bound=-policy.margin, reason=reason), None
    gain, error, rows = combined
    bounds = confidence_sequence(gain, error, rows, alpha=alpha, tightest_at=10 * policy.min_labels)
    worse = bounds[1] < -policy.margin
    side = "significantly worse" if worse else "worse" if gain < 0 else "better"
    reason = (
        f"{metric} is {side} than the champion's by {number(abs(gain))} (a gain of {number(bounds[0])} to "
        f"{number(bounds[1])}) on {labels:,} labels"
    )
    return Check(name="quality", passed=not worse, value=gain, bound=-policy.margin, reason=reason), bounds


def _waits_for(state: TrialState, evidence: TrialEvidence, bounds: tuple[float, float] | None) -> list[str]:
    """Return what a step, or the whole trial, still waits for; empty when it is complete."""
    policy, step = state.plan.policy, evidence.steps[-1]
    waits = []
    if evidence.until - state.step_since < policy.bake_time:
        left = policy.bake_time - (evidence.until - state.step_since)
        waits.append(f"must run for another {format_duration(_rounded(left))}")
    if step.challenger_rows < policy.min_rows:
        waits.append(f"has {step.challenger_rows:,} predictions in this step; {policy.min_rows:,} are needed")
    if len(state.steps) + 1 < len(policy.shares):
        return waits
    if bounds is None:
        waits.append(f"waits for {policy.min_labels:,} mature labels")
    elif policy.kind in {"ab", "shadow"} and bounds[0] <= -policy.margin:
        shown = f"no worse by {number(policy.margin)}" if policy.margin else "better"
        waits.append(f"is not proven to be {shown} yet")
    return waits


def _agreement(evidence: TrialEvidence) -> list[str]:
    """Return how often both gave the same answer in a shadow, where they differ most, and how long they take."""
    step = evidence.steps[-1]
    if step.agreement is None:
        return []
    texts = [f"both agree to {percent(round(step.agreement, 3))} on {step.challenger_rows:,} rows that both predicted"]
    texts += divergence_texts(step.divergence)
    return [*texts, evidence.latency.summary] if evidence.latency else texts


def _left_out(evidence: TrialEvidence) -> list[str]:
    """Return how many answers don't count because of their client, and which share was looked at."""
    texts = []
    if evidence.left_out:
        clients = "clients above their largest share (monitoring.clients.max_share)"
        texts.append(f"{evidence.left_out:,} answers to {clients} don't count")
    if evidence.drawn is not None:
        texts.append(f"measured on a draw of {percent(round(evidence.drawn, 4))} of the keys and of the requests")
    return texts


def _rounded(span: timedelta) -> timedelta:
    return timedelta(seconds=math.ceil(span.total_seconds()))


def _with_headline(headline: str, failed: Sequence[str]) -> tuple[str, ...]:
    return (f"{headline}: {failed[0]}", *failed[1:])
