"""Live quality estimated for the rows that have no mature label, and how well the estimate holds where they have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import NotEnoughError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.monitoring.signals.confidence_estimate import ConfidenceEstimator
from everfit.tasks.monitoring.signals.covariate_shift import CovariateShift, covariate_shift
from everfit.tasks.monitoring.signals.loss_estimate import DLE_METRICS, LossEstimator
from everfit.tasks.monitoring.signals.quality import realised
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.statistics.estimate_trust import EstimatedQuality, PastEstimate, TrackRecord, track_record
from everfit.tasks.statistics.label_need import LabelNeed, label_need, outcome_spread
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.triage.quality_signals import Baseline, EstimateSignal

Floats = npt.NDArray[np.float64]

_NEAR = 0.01
_EFFECTIVE, _UNSEEN, _NAMED = 100, 0.5, 0.01
"""By fewer effective rows, or with more unseen rows, nothing is estimated; from the last share on they are named."""


@dataclass(frozen=True)
class QualityEstimator:
    """Estimates a metric without labels, and says which labels would tell it.

    Attributes:
        by: The estimator, fitted on the hold-out.
        features: The features.
        texts: The features of free text.
        holdout: Rows of the hold-out, by which a shift of the inputs is found; None to look for none.
        look_up: Returns the features of some of the answers, which the log has; None where they have them.
        loss_spread: By how much the loss of a number differs from what is expected of its row, as a multiple of it.
    """

    by: ConfidenceEstimator | LossEstimator
    features: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    holdout: pd.DataFrame | None = None
    look_up: Callable[[LabelledPredictions], pd.DataFrame] | None = None
    loss_spread: float = 0.0

    def __call__(self, answers: LabelledPredictions, record: TrackRecord) -> EstimatedQuality:
        """Estimate the metric.

        Args:
            answers: The champion's answers.
            record: How well past estimates agreed with the labels.
        """
        if isinstance(self.by, ConfidenceEstimator):
            shift = self._shift(answers)
            estimate = self.by.estimate(answers.scores, record, shift=shift)
            if shift is None:
                return estimate
            added = f"for rows as they are now, by {shift.effective:,.0f} effective rows of the hold-out"
            if shift.unseen >= _NAMED:
                added += f", which hardly has {shift.unseen:.0%} of the rows"
            return estimate.model_copy(update={"summary": f"{estimate.summary}; {added}"})
        return self.by.estimate(answers.rows[list(self.features)], answers.scores, record)

    def _shift(self, answers: LabelledPredictions) -> CovariateShift | None:
        """Return how the inputs have moved; None if they have not, or the log does not show them.

        Raises:
            NotEnoughError: Hardly any row of the hold-out is like the present ones.
        """
        if self.holdout is None or self.look_up is None or answers.rows.empty:
            return None
        shift = covariate_shift(self.holdout, self.look_up(answers), self.features, self.texts)
        if shift is not None and (shift.effective < _EFFECTIVE or shift.unseen > _UNSEEN):
            raise NotEnoughError(
                "the rows have moved too far from the hold-out to estimate quality without labels: it has "
                f"{shift.effective:,.0f} effective rows like the present ones, and hardly has {shift.unseen:.0%} of "
                "them"
            )
        return shift

    def expected(self, answers: LabelledPredictions, weights: Floats | None = None) -> float:
        """Return the metric that the answers predict.

        Args:
            answers: The champion's answers.
            weights: Weight of each row, shape (n,); by default all are equal.
        """
        if isinstance(self.by, ConfidenceEstimator):
            return self.by.expected(answers.scores, weights)
        losses = self._losses(answers)
        mean = float(np.average(losses, weights=weights))
        return mean**0.5 if self.by.name == "rmse" else mean

    def need(self, answers: LabelledPredictions, half_width: float) -> LabelNeed:
        """Return how many labels of these rows tell the metric to a half-width, and of which rows.

        Args:
            answers: The champion's answers; their labels, if any, are not looked at.
            half_width: Half of the 95 % interval.
        """
        if isinstance(self.by, ConfidenceEstimator):
            spread = outcome_spread(self.by.name, self.by.chances(answers.scores), answers.scores)
        else:
            losses = self._losses(answers)
            spread = self.loss_spread * losses
            if self.by.name == "rmse":
                spread = spread / (2 * max(float(losses.mean()), 1e-300) ** 0.5)
        return label_need(spread, half_width)

    def _losses(self, answers: LabelledPredictions) -> Floats:
        assert isinstance(self.by, LossEstimator)  # noqa: S101 - the callers know the kind
        return self.by.losses(answers.rows[list(self.features)], answers.scores)


def near(name: str, value: float) -> float:
    """Return the half-width for which it is said how many labels it needs: .01, or a hundredth of a number's error.

    Args:
        name: The name of the metric.
        value: Its value.
    """
    return _NEAR if metric(name).needs_classes else _NEAR * abs(value)


def can_estimate(name: str) -> bool:
    """Whether there is a way to estimate a metric without labels."""
    return metric(name).needs_classes or name in DLE_METRICS


def fit_estimator(holdout: LabelledPredictions, spec: ModelSpec, features: Sequence[str]) -> QualityEstimator:
    """Learn from the champion's hold-out how good it is where.

    Raises:
        DataError: the metric can't be estimated (`can_estimate` tells), or the hold-out is too small.
    """
    if metric(spec.metric).needs_classes:
        by_confidence = ConfidenceEstimator.fit(holdout.truth, holdout.scores, spec.metric)
        return QualityEstimator(by_confidence, tuple(features), spec.columns.text, holdout.rows)
    inputs = holdout.rows[list(features)]
    by_loss = LossEstimator.fit(inputs, holdout.truth, holdout.scores, spec.metric)
    expected = by_loss.losses(inputs, holdout.scores)
    spread = by_loss.residual_spread(inputs, holdout.truth, holdout.scores)
    return QualityEstimator(
        by_loss, tuple(features), loss_spread=spread / max(float(np.sqrt(np.mean(expected**2))), 1e-300)
    )


def estimate_signal(
    estimator: QualityEstimator,
    rest: LabelledPredictions,
    baseline: Baseline,
    spec: ModelSpec,
    past: Sequence[PastEstimate],
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
    half = near(estimate.metric, estimate.value)
    need = estimator.need(rest, half)
    asked = f"{need.rows:,} of" if need.rows < len(rest.rows) else "all"
    return EstimateSignal(
        status="measured",
        reason=f"{estimate.summary}; labels of {asked} these rows would tell it to ±{half:.2g}",
        labels_needed=need.rows,
        method=estimate.method,
        metric=estimate.metric,
        rows=estimate.rows,
        value=estimate.value,
        standard_error=estimate.standard_error,
        trust=estimate.trust,
        baseline=baseline,
    )


def came_true(
    estimator: QualityEstimator, mature: LabelledPredictions, spec: ModelSpec, until: datetime
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
