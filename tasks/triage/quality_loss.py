"""Whether quality has been lost: how much, beyond which bound, and how certain that is.

Every window is tested for a loss for years, so an ordinary 95 % test would raise a false alarm every few months. A loss
counts when it is both *material* (beyond the policy's bound) and *real* (beyond chance, at the policy's confidence over
many windows together). The newest window is tested alone and pooled with those before it, so that a strong loss shows
at once and a weak one as early as possible: the window-limited scheme of T. L. Lai, "Sequential changepoint detection
in quality control and dynamical systems", Journal of the Royal Statistical Society B 57 (1995).

Chance has two parts. The windows' luck is drawn again in each test, so the largest of many counts. The hold-out's luck
is drawn once for a champion, so it counts once. So the smallest loss that shows falls with the number of windows.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean

from pydantic import AliasChoices, Field, FiniteFloat

from everfit.blocks.metrics import MetricFacts
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.core.metric_scale import facts_of
from everfit.tasks.core.records import Record
from everfit.tasks.triage.early_signal import EarlySignal
from everfit.tasks.triage.history import History, PastQuality
from everfit.tasks.triage.natural_spread import ASSUMED, natural_spread
from everfit.tasks.triage.non_overlapping import non_overlapping
from everfit.tasks.triage.quality_signals import Baseline, EstimateSignal, QualitySignal

SPANS = (1, 2, 4, 8)
"""Numbers of newest windows that are pooled and tested for a loss."""

_LOOKS = 2.5
"""The spans share windows, so testing all of them is like this many independent tests."""


_ALIKE = 0.75
"""The natural variance of a mean over many windows exceeds that of independent ones by this share."""


class LossEvidence(Record):
    """A loss against the expected quality, in the metric's unit; positive is worse."""

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
    summary: str = Field(validation_alias=AliasChoices("summary", "words"))


def expected_value(baseline: Baseline, chance: float | None, facts: MetricFacts) -> float:
    """Return the quality on other rows that the champion's hold-out predicts.

    If the best constant answer is worse on these rows than on the hold-out, the rows are harder, and a proportionally
    larger error is no loss. If they are easier, the hold-out's own value stays the yardstick: a champion need not gain
    on easier rows.

    Args:
        baseline: The quality on the hold-out.
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
    """Return a window's quality for later windows; None if its quality is not known."""
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
    """Test the quality on mature labels for a loss, together with the windows before it.

    Args:
        quality: The quality of the newest labelled window.
        history: Earlier windows.
        reference: Id of the champion's reference; windows of other champions are left out.
        policy: Bound, confidence and minimum number of labels.
        false_alarm_windows: Number of windows over which the confidence holds.

    Returns:
        None if quality is not known: too few labels, or biased ones.
    """
    newest = remember(quality)
    if newest is None or quality.baseline is None or quality.value is None:
        return None
    facts = facts_of(quality.metric, quality.baseline.scale)
    bound = policy.loss_bound(quality.baseline.value, quality.baseline.chance)
    looks = false_alarm_windows * _LOOKS
    series = _series(newest, history, reference, policy)
    natural = natural_spread(history, quality.metric, bound, quality.baseline, newest)
    expected = expected_value(quality.baseline, quality.chance, facts)
    tested: list[LossEvidence] = []
    for span in SPANS:
        pooled = series[:span]
        rows = sum(window.rows for window in pooled)
        if len(pooled) < span or rows < policy.min_labels:
            continue
        loss, of_windows = _pool(pooled, natural)
        # The hold-out is a stretch of time as well and differs naturally too; a longer one less so.
        length = max(1.0, quality.baseline.rows / fmean(window.rows for window in pooled))
        of_holdout = math.hypot(quality.baseline.standard_error, natural * _over(length))
        error = math.hypot(of_windows, of_holdout)
        visible = max(bound, _smallest(of_windows, of_holdout, policy.confidence, looks))
        tested.append(
            LossEvidence(
                metric=quality.metric,
                value=quality.value,
                expected=expected,
                loss=loss,
                standard_error=error,
                bound=bound,
                z=loss / error if error > 0 else 0.0,
                critical_z=visible / error if error > 0 else 0.0,
                windows=span,
                rows=rows,
                lost=loss > visible and newest.loss > bound / 2,
                summary=_loss_summary(
                    facts, expected, loss, error, bound=bound, visible=visible, windows=span, rows=rows
                ),
            )
        )
    return next((loss for loss in tested if loss.lost), tested[0] if tested else None)


def unrecovered_loss(
    quality: QualitySignal, level: Baseline, history: History, reference: str, policy: MonitoringPolicy
) -> LossEvidence | None:
    """Test the newest window against an earlier champion's level, which retraining should win back.

    A champion that was trained during a change has a poor hold-out itself, with few rows from after the change. A later
    retraining can do better, because it has more such rows.

    Args:
        quality: The quality of the newest labelled window.
        level: The earlier champion's quality on its hold-out.
        history: Earlier windows.
        reference: Id of the champion's reference.
        policy: Bound, confidence and minimum number of labels.
    """
    if quality.baseline is None:
        return None
    further = _loss(facts_of(quality.metric, quality.baseline.scale), level.value, quality.baseline.value)
    former = quality.model_copy(update={"baseline": level})
    windows = [
        window.model_copy(update={"quality": window.quality.model_copy(update={"loss": window.quality.loss + further})})
        for window in history.windows
        if window.reference == reference and window.quality is not None
    ]
    return realised_loss(former, History(windows=tuple(windows)), reference, policy, false_alarm_windows=1)


def early_loss(early: EarlySignal, baseline: Baseline | None, policy: MonitoringPolicy) -> float | None:
    """Return the loss that early labels show; None if it is within the bound, or not certain for one look.

    Args:
        early: The quality by the labels that are known before the maturity.
        baseline: The quality on the champion's hold-out.
        policy: Bound and confidence.
    """
    if not early.measured or early.value is None or early.standard_error is None or baseline is None:
        return None
    loss = _loss(facts_of(early.metric, baseline.scale), baseline.value, early.value)
    error = math.hypot(early.standard_error, baseline.standard_error)
    certain = NormalDist().inv_cdf(policy.confidence) * error
    return loss if loss > max(certain, policy.loss_bound(baseline.value, baseline.chance)) else None


def estimated_loss(estimate: EstimateSignal, policy: MonitoringPolicy, false_alarm_windows: int) -> LossEvidence | None:
    """Test the quality that was estimated without labels for a loss.

    Args:
        estimate: The estimate; its standard error includes past errors.
        policy: Bound and confidence.
        false_alarm_windows: Number of windows over which the confidence holds.
    """
    if estimate.value is None or estimate.standard_error is None or estimate.baseline is None:
        return None
    if not estimate.measured:
        return None
    facts = facts_of(estimate.metric, estimate.baseline.scale)
    bound = policy.loss_bound(estimate.baseline.value, estimate.baseline.chance)
    loss = _loss(facts, estimate.baseline.value, estimate.value)
    natural = ASSUMED * bound if estimate.baseline.spread is None else estimate.baseline.spread
    of_windows = math.hypot(estimate.standard_error, natural)
    error = math.hypot(of_windows, estimate.baseline.standard_error)
    visible = max(
        bound, _smallest(of_windows, estimate.baseline.standard_error, policy.confidence, false_alarm_windows)
    )
    return LossEvidence(
        metric=estimate.metric,
        value=estimate.value,
        expected=estimate.baseline.value,
        loss=loss,
        standard_error=error,
        bound=bound,
        z=loss / error if error > 0 else 0.0,
        critical_z=visible / error if error > 0 else 0.0,
        windows=1,
        rows=estimate.rows,
        lost=loss > visible,
        summary="estimated: "
        + _loss_summary(
            facts,
            estimate.baseline.value,
            loss,
            error,
            bound=bound,
            visible=visible,
            windows=1,
            rows=estimate.rows,
        ),
    )


def _loss(facts: MetricFacts, expected: float, value: float) -> float:
    return expected - value if facts.greater_is_better else value - expected


def _smallest(of_windows: float, of_holdout: float, confidence: float, looks: float) -> float:
    """Return the loss that chance alone exceeds in any of many tests with the complement of the confidence.

    The largest of many draws has a mean and a deviation of its own (G. Blom, "Statistical Estimates and Transformed
    Beta-Variables", 1958); the hold-out's luck is added to it once.

    Args:
        of_windows: Standard error of what differs from test to test.
        of_holdout: Standard error of what all tests share.
        confidence: That no test is wrong.
        looks: Number of tests.
    """
    normal = NormalDist()
    mean = normal.inv_cdf((looks - 0.375) / (looks + 0.25))
    deviation = 1 / math.sqrt(1 + 12 * math.log(looks) / math.pi**2)
    certain = normal.inv_cdf((1 + confidence) / 2)
    return mean * of_windows + certain * math.hypot(of_holdout, deviation * of_windows)


def _series(newest: PastQuality, history: History, reference: str, policy: MonitoringPolicy) -> list[PastQuality]:
    """Return the newest window and those before it, newest first, without overlap and from the recent past only."""
    length = policy.window if newest.window.since is None else newest.window.until - newest.window.since
    oldest = newest.window.until - max(policy.window, length) * (SPANS[-1] + 1)
    own = [
        quality for window in history.windows if window.reference == reference and (quality := window.judged_quality)
    ]
    past = [quality for quality in own if quality.window.until > oldest and quality.metric == newest.metric]
    return [newest, *non_overlapping(past, lambda quality: quality.window, before=newest.window)]


def _pool(pooled: Sequence[PastQuality], natural: float) -> tuple[float, float]:
    """Return the mean loss of windows, weighted by precision, and its standard error."""
    weights = [1 / (quality.standard_error**2 + natural**2 + 1e-300) for quality in pooled]
    shares = [weight / sum(weights) for weight in weights]
    loss = sum(share * quality.loss for share, quality in zip(shares, pooled, strict=True))
    by_rows = sum((share * quality.standard_error) ** 2 for share, quality in zip(shares, pooled, strict=True))
    return loss, math.hypot(math.sqrt(by_rows), natural * _over(1 / sum(share**2 for share in shares)))


def _over(windows: float) -> float:
    """Return the natural spread of a mean over a number of windows, as a multiple of one window's.

    Neighbouring windows are alike, so it falls more slowly than with the root of their number.
    """
    return math.sqrt((1 + _ALIKE * (1 - 1 / windows)) / windows)


def _loss_summary(
    facts: MetricFacts,
    expected: float,
    loss: float,
    error: float,
    *,
    bound: float,
    visible: float,
    windows: int,
    rows: int,
) -> str:
    where = "in this window" if windows == 1 else f"over the last {windows} windows"
    value = expected - loss if facts.greater_is_better else expected + loss
    distance = "equal to" if abs(loss) < 5e-5 else f"{abs(loss):.2g} {'worse' if loss > 0 else 'better'} than"
    return (
        f"{facts.name} is {value:.4g} {where}, {distance} the {expected:.4g} expected from the hold-out "
        f"(standard error {error:.2g}, bound {bound:.2g}, {rows:,} rows; a loss above {visible:.2g} would be certain)"
    )
