"""Whether quality has been lost: how much, beyond which bound, and how sure that is.

A loss is looked for in every window for years, so an ordinary 95 % test would cry wolf every few months. A loss counts
when it is both *material* (beyond the policy's bound) and *real*: beyond what chance gives at the confidence that is
left after dividing the risk of error by the windows and spans that are looked at (Bonferroni). The newest window is
tested alone and pooled with those before it, so that a strong loss shows at once and a weak one as soon as it can: the
window-limited scheme of T. L. Lai, "Sequential changepoint detection in quality control and dynamical systems",
Journal of the Royal Statistical Society B 57 (1995).
"""

import math
from collections.abc import Sequence
from itertools import groupby, pairwise
from statistics import NormalDist, fmean, median

from pydantic import FiniteFloat

from everfit.blocks.metrics import MetricFacts
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.core.metric_scale import facts_of
from everfit.tasks.core.records import Record
from everfit.tasks.triage.history import History, PastQuality
from everfit.tasks.triage.non_overlapping import apart
from everfit.tasks.triage.signals import Baseline, EstimateSignal, QualitySignal

SPANS = (1, 2, 4, 8)
"""Over how many of the newest windows a loss is looked for."""

_NATURAL = 0.35
"""Windows differ by nature. Until history shows by how much, by this share of the bound (standard deviation)."""
_PRIOR_STEPS = 3
"""That assumption weighs as much as so many observed steps from window to window."""
_MEDIAN_CHI_SQUARE = 0.4549
"""Median of the chi-square distribution with one degree of freedom."""


class LossEvidence(Record):
    """What was lost against what was to be expected, in the metric's unit; positive is worse."""

    metric: str
    value: FiniteFloat
    expected: FiniteFloat
    loss: FiniteFloat
    standard_error: FiniteFloat
    bound: FiniteFloat
    z: FiniteFloat
    critical_z: FiniteFloat
    windows: int
    rows: int
    lost: bool
    words: str


def expected_value(baseline: Baseline, chance: float | None, facts: MetricFacts) -> float:
    """What the champion's hold-out lets one expect on other rows.

    Where the best constant answer does worse on these rows than on the hold-out, the rows are harder, and an error
    larger in the same proportion is no loss. Where they are easier the hold-out's own value stays the yardstick: a
    champion needn't gain from what others gain from.

    Args:
        baseline: On the hold-out.
        chance: The best constant answer's value on these rows.
        facts: The metric's direction and range.
    """

    def error(value: float) -> float:
        return facts.highest - value if facts.greater_is_better else value - facts.lowest

    if chance is None or baseline.chance is None or not 0 < error(baseline.chance) < math.inf:
        return baseline.value
    harder = max(1.0, error(chance) / error(baseline.chance))
    return baseline.value - (harder - 1) * error(baseline.value) * (1 if facts.greater_is_better else -1)


def remember(quality: QualitySignal) -> PastQuality | None:
    """What later windows need to know of this one's quality; nothing when it says nothing."""
    if quality.value is None or quality.standard_error is None or quality.baseline is None or quality.window is None:
        return None
    if quality.biased or quality.status not in {"measured", "not_enough"}:
        return None
    facts = facts_of(quality.metric, quality.baseline.scale)
    expected = expected_value(quality.baseline, quality.chance, facts)
    return PastQuality(
        window=quality.window,
        metric=quality.metric,
        rows=quality.rows,
        loss=_loss(facts, expected, quality.value),
        standard_error=quality.standard_error,
    )


def realised_loss(
    quality: QualitySignal, history: History, reference: str, policy: MonitoringPolicy, false_alarm_windows: int
) -> LossEvidence | None:
    """Judge the quality on mature labels, with the windows before it.

    Args:
        quality: Of the newest labelled window.
        history: Earlier windows.
        reference: Id of the champion's reference: windows of other champions say nothing of this one.
        policy: Bound, confidence and the least number of labels.
        false_alarm_windows: Windows over which the confidence is to hold.

    Returns:
        None where quality says nothing: too few labels, or biased ones.
    """
    newest = remember(quality)
    if newest is None or quality.baseline is None or quality.value is None:
        return None
    facts = facts_of(quality.metric, quality.baseline.scale)
    bound = policy.loss_bound(quality.baseline.value, quality.baseline.chance)
    critical = _critical(policy.confidence, false_alarm_windows * len(SPANS))
    series = _series(newest, history, reference, policy)
    natural = _spread(history, quality.metric, max(_NATURAL * bound, quality.baseline.spread or 0.0))
    expected = expected_value(quality.baseline, quality.chance, facts)
    found: list[LossEvidence] = []
    for span in SPANS:
        pooled = series[:span]
        rows = sum(each.rows for each in pooled)
        if len(pooled) < span or rows < policy.min_labels:
            continue
        loss, error = _pool(pooled, natural, quality.baseline)
        lost = loss > bound and loss > critical * error and newest.loss > bound / 2
        found.append(
            LossEvidence(
                metric=quality.metric,
                value=quality.value,
                expected=expected,
                loss=loss,
                standard_error=error,
                bound=bound,
                z=loss / error if error > 0 else 0.0,
                critical_z=critical,
                windows=span,
                rows=rows,
                lost=lost,
                words=_words(facts, expected, loss, error, bound=bound, windows=span, rows=rows),
            )
        )
    return next((each for each in found if each.lost), found[0] if found else None)


def unrecovered_loss(
    quality: QualitySignal, level: Baseline, history: History, reference: str, policy: MonitoringPolicy
) -> LossEvidence | None:
    """Judge the newest window by a level that an earlier champion had, and that retraining was to win back.

    A champion trained while the world was changing is measured on few rows of what is new, and lives up to a hold-out
    that is poor itself; there is more to win once more has been seen.

    Args:
        quality: Of the newest labelled window.
        level: The earlier champion's.
        history: Earlier windows.
        reference: Id of the champion's reference.
        policy: Bound, confidence and the least number of labels.
    """
    if quality.baseline is None:
        return None
    further = _loss(facts_of(quality.metric, quality.baseline.scale), level.value, quality.baseline.value)
    former = quality.model_copy(update={"baseline": level})
    windows = [
        each.model_copy(update={"quality": each.quality.model_copy(update={"loss": each.quality.loss + further})})
        for each in history.windows
        if each.reference == reference and each.quality is not None
    ]
    return realised_loss(former, History(windows=tuple(windows)), reference, policy, false_alarm_windows=1)


def estimated_loss(estimate: EstimateSignal, policy: MonitoringPolicy, false_alarm_windows: int) -> LossEvidence | None:
    """Judge the quality that was estimated without labels.

    Args:
        estimate: With a band that past errors have widened already.
        policy: Bound and confidence.
        false_alarm_windows: Windows over which the confidence is to hold.
    """
    if estimate.value is None or estimate.standard_error is None or estimate.baseline is None:
        return None
    if not estimate.measured:
        return None
    facts = facts_of(estimate.metric, estimate.baseline.scale)
    bound = policy.loss_bound(estimate.baseline.value, estimate.baseline.chance)
    critical = _critical(policy.confidence, false_alarm_windows)
    loss = _loss(facts, estimate.baseline.value, estimate.value)
    natural = max(_NATURAL * bound, estimate.baseline.spread or 0.0)
    error = math.hypot(estimate.standard_error, estimate.baseline.standard_error, natural)
    return LossEvidence(
        metric=estimate.metric,
        value=estimate.value,
        expected=estimate.baseline.value,
        loss=loss,
        standard_error=error,
        bound=bound,
        z=loss / error if error > 0 else 0.0,
        critical_z=critical,
        windows=1,
        rows=estimate.rows,
        lost=loss > bound and loss > critical * error,
        words="estimated: "
        + _words(facts, estimate.baseline.value, loss, error, bound=bound, windows=1, rows=estimate.rows),
    )


def _loss(facts: MetricFacts, expected: float, value: float) -> float:
    return expected - value if facts.greater_is_better else value - expected


def _critical(confidence: float, looks: int) -> float:
    return NormalDist().inv_cdf(1 - (1 - confidence) / looks)


def _series(newest: PastQuality, history: History, reference: str, policy: MonitoringPolicy) -> list[PastQuality]:
    """The newest window and those before it, newest first, none overlapping another and none from before a gap."""
    oldest = newest.window.until - policy.window * (SPANS[-1] + 1)
    own = [found for each in history.windows if each.reference == reference and (found := each.judged_quality)]
    past = [each for each in own if each.window.until > oldest and each.metric == newest.metric]
    return [newest, *apart(past, lambda each: each.window, before=newest.window)]


def _spread(history: History, metric: str, assumed: float) -> float:
    """By how much windows differ beyond sampling error, from the steps between neighbours; at least as assumed.

    Steps, because a slow trend hardly moves them, and their median, because a single fall doesn't: J. von Neumann et
    al., "The mean square successive difference", Annals of Mathematical Statistics 12 (1941).
    """
    all_known = [(each.reference, found) for each in history.windows if (found := each.judged_quality)]
    known = [
        each
        for _, of_one in groupby(all_known, key=lambda each: each[0])
        for each in reversed(apart(of_one, lambda each: each[1].window))
    ]
    steps, noise = [], []
    for (before, old), (after, new) in pairwise(known):
        if before == after and old.metric == new.metric == metric:
            steps.append((new.loss - old.loss) ** 2)
            noise.append(old.standard_error**2 + new.standard_error**2)
    if len(steps) < 2:
        return assumed
    seen = max(0.0, median(steps) / _MEDIAN_CHI_SQUARE - fmean(noise)) / 2
    weight = len(steps) / (len(steps) + _PRIOR_STEPS)
    return max(assumed, math.sqrt(weight * seen + (1 - weight) * assumed**2))


def _pool(pooled: Sequence[PastQuality], natural: float, baseline: Baseline) -> tuple[float, float]:
    """Mean loss of the windows, weighted by precision, and its standard error with the hold-out's own."""
    weights = [1 / (each.standard_error**2 + natural**2 + 1e-300) for each in pooled]
    total = sum(weights)
    loss = sum(weight * each.loss for weight, each in zip(weights, pooled, strict=True)) / total
    # The hold-out is a stretch of time as well, and differs by nature too; a longer one less so.
    length = min(1.0, fmean(each.rows for each in pooled) / max(baseline.rows, 1))
    return loss, math.sqrt(1 / total + baseline.standard_error**2 + length * natural**2)


def _words(
    facts: MetricFacts, expected: float, loss: float, error: float, *, bound: float, windows: int, rows: int
) -> str:
    where = "in this window" if windows == 1 else f"over the last {windows} windows"
    value = expected - loss if facts.greater_is_better else expected + loss
    size = "as much as" if abs(loss) < 5e-5 else f"{abs(loss):.2g} {'worse' if loss > 0 else 'better'} than"
    return (
        f"{facts.name} is {value:.4g} {where}, {size} the {expected:.4g} that the hold-out lets expect "
        f"(standard error {error:.2g}, bound {bound:.2g}, {rows:,} rows)"
    )
