"""Live quality estimated for the rows that have no mature label, and how well the estimate holds where they have."""

from collections.abc import Callable, Sequence
from datetime import datetime

from everfit.blocks.errors import NotEnoughError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.monitoring.signals.estimation import DLE_METRICS, ConfidenceEstimator, LossEstimator
from everfit.tasks.monitoring.signals.quality import realised
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.statistics.estimate_trust import EstimatedQuality, PastEstimate, TrackRecord, track_record
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.triage.quality_signals import Baseline, EstimateSignal

Estimator = Callable[[LabelledPredictions, TrackRecord], EstimatedQuality]


def can_estimate(name: str) -> bool:
    """Whether there is a way to estimate a metric without labels."""
    return metric(name).needs_classes or name in DLE_METRICS


def fit_estimator(holdout: LabelledPredictions, spec: ModelSpec, features: Sequence[str]) -> Estimator:
    """Learn from the champion's hold-out how good it is where.

    Raises:
        DataError: the metric can't be estimated (`can_estimate` tells), or the hold-out is too small.
    """
    if metric(spec.metric).needs_classes:
        by_confidence = ConfidenceEstimator.fit(holdout.truth, holdout.scores, spec.metric)
        return lambda answers, record: by_confidence.estimate(answers.scores, record)
    by_loss = LossEstimator.fit(holdout.rows[list(features)], holdout.truth, holdout.scores, spec.metric)
    return lambda answers, record: by_loss.estimate(answers.rows[list(features)], answers.scores, record)


def estimate_signal(
    estimator: Estimator, rest: LabelledPredictions, baseline: Baseline, spec: ModelSpec, past: Sequence[PastEstimate]
) -> EstimateSignal:
    """Quality estimated for rows that have no mature labels yet.

    Args:
        estimator: Fitted on the hold-out.
        rest: The champion's answers without a mature label.
        baseline: On the hold-out.
        spec: The model's spec.
        past: How well past estimates agreed with the labels.
    """
    if len(rest.rows) < spec.monitoring.min_labels:
        reason = f"{len(rest.rows):,} rows have no mature label; {spec.monitoring.min_labels:,} are needed"
        return EstimateSignal(status="not_enough", metric=spec.metric, rows=len(rest.rows), reason=reason)
    estimate = estimator(rest, track_record(past))
    return EstimateSignal(
        status="measured",
        reason=estimate.summary,
        method=estimate.method,
        metric=estimate.metric,
        rows=estimate.rows,
        value=estimate.value,
        standard_error=estimate.standard_error,
        trust=estimate.trust,
        baseline=baseline,
    )


def came_true(
    estimator: Estimator, mature: LabelledPredictions, spec: ModelSpec, until: datetime
) -> PastEstimate | None:
    """Return the same estimate for rows with known labels, and their real quality; None if either is unknown."""
    judged = mature.with_labels()
    if len(judged.rows) < spec.monitoring.min_labels:
        return None
    try:
        estimate = estimator(judged, track_record(()))
        truth = realised(judged.truth, judged.scores, spec.metric, days=judged.days, entities=judged.entities)
    except NotEnoughError:
        return None
    error = (estimate.standard_error**2 + truth.standard_error**2) ** 0.5
    return PastEstimate(until=until, estimated=estimate.value, realised=truth.value, standard_error=error)
