"""The evidence area `quality`: the primary metric on rows with mature labels, against the champion's hold-out."""

import math
from collections.abc import Sequence
from statistics import NormalDist, median
from typing import Any

from everfit.blocks.errors import NotEnoughError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.holdout import entity_effect
from everfit.tasks.monitoring.monitored_model import MonitoredModel
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.monitoring.signals.assisted_quality import use_labels_well
from everfit.tasks.monitoring.signals.live_estimate import QualityEstimator, near
from everfit.tasks.monitoring.signals.live_slices import measure_slices
from everfit.tasks.monitoring.signals.live_value import business_value
from everfit.tasks.monitoring.signals.maturity import coverage
from everfit.tasks.monitoring.signals.quality import realised
from everfit.tasks.monitoring.signals.renamed_class import named_classes, renamed_class
from everfit.tasks.monitoring.triage_history import JudgedWindow
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.statistics.business_value import worth_of
from everfit.tasks.triage.non_overlapping import NEARLY, non_overlapping
from everfit.tasks.triage.quality_signals import Baseline, QualitySignal

_NINETY_FIVE = NormalDist().inv_cdf(0.975)
_NEWEST = 6
"""The usual coverage is the median over this many past windows that do not overlap."""


def compare_with_holdout(window: MonitoredWindow) -> QualitySignal:
    """Measure quality on the rows with mature labels."""
    monitored = window.monitored
    usual = usual_coverage(monitored.judged, _coverage_in_training(window), monitored.labelled_window)
    return quality_signal(
        monitored.mature,
        monitored.baseline,
        monitored.context.spec,
        usual=usual,
        holdout=monitored.holdout,
        threshold=monitored.threshold,
        windows=monitored.labelled_windows,
        newest=monitored.windows.labelled,
        estimator=_estimator(monitored),
    )


def _estimator(monitored: MonitoredModel) -> QualityEstimator | None:
    """Return what the answers predict, if labels of the queue need it; None if they don't, or it can't be learned."""
    if monitored.mature.with_labels().inclusion is None:
        return None
    try:
        return monitored.estimator
    except NotEnoughError:
        return None


def usual_coverage(judged: Sequence[JudgedWindow], in_training: float | None, labelled: Window) -> float | None:
    """Return the usual share of mature rows that have a label: the median of past windows, or that of training.

    Args:
        judged: Past windows; those that lacked their labels do not count, however long that lasts.
        in_training: The share in the training data.
        labelled: The window that is measured now.
    """
    known = [
        (quality.coverage, quality.window)
        for quality in (window.signals.quality for window in judged)
        if quality.coverage and quality.window and not quality.lacks_labels
    ]
    newest = non_overlapping(known, lambda pair: pair[1], before=labelled, shared=NEARLY)[:_NEWEST]
    return median(coverage for coverage, _ in newest) if newest else in_training


def quality_signal(
    mature: LabelledPredictions,
    baseline: Baseline,
    spec: ModelSpec,
    *,
    usual: float | None,
    holdout: LabelledPredictions,
    threshold: float | None = None,
    windows: int = 1,
    newest: Window | None = None,
    estimator: QualityEstimator | None = None,
) -> QualitySignal:
    """Return quality on rows whose labels are mature.

    Args:
        mature: The champion's answers that are old enough.
        baseline: The quality on its hold-out.
        spec: The model's spec.
        usual: The usual share of labelled rows.
        holdout: Gives the baselines of the slices and of the business value.
        threshold: The score above which the user acts on a prediction; None if the spec sets none.
        windows: The number of windows that the answers are from.
        newest: The newest of these windows, which shows whether labels still come; by default all answers do.
        estimator: The estimator of the metric, which makes more of labels from the labelling queue.
    """
    policy = spec.monitoring
    if mature.rows.empty:
        reason = f"the champion answered nothing in {mature.window} that could have labels"
        return QualitySignal(status="not_enough", metric=spec.metric, window=mature.window, reason=reason)
    scores, flags = mature.scores, mature.labelled
    covered = coverage(scores, flags, inclusion=mature.of(flags).inclusion)
    judged = mature.with_labels()
    rows = len(judged.rows)
    facts = {"metric": spec.metric, "window": mature.window, "rows": rows, "baseline": baseline}
    facts |= {
        "coverage": _newest_share(mature, newest, covered.share),
        "usual_coverage": usual,
        "biased": covered.biased,
    }
    if renamed := renamed_class(judged):  # says nothing about the model; the area `data` reports it
        return QualitySignal.model_validate({**facts, "status": "not_enough", "reason": renamed})
    try:
        quality = realised(
            judged.truth,
            judged.scores,
            spec.metric,
            inclusion=judged.inclusion,
            days=judged.days,
            entities=judged.entities,
        )
        quality, assisted = use_labels_well(quality, mature, estimator)
        wider = entity_effect(judged, holdout, spec)
    except NotEnoughError as error:
        return QualitySignal.model_validate({**facts, "status": "not_enough", "reason": f"{error}; {covered.summary}"})
    enough = rows >= policy.min_labels and not covered.biased
    slices = measure_slices(judged, holdout, spec, policy.loss_bound(baseline.value, baseline.chance))
    few = f"{rows:,} mature labels; {policy.min_labels:,} are needed"
    taken = [f"{windows} windows are taken together, because the newest has too few labels"] if windows > 1 else []
    reasons = [covered.summary if enough or covered.biased else few, *taken, *_unknown_classes(judged)]
    reasons += [assisted] if assisted else []
    reasons += (
        [] if judged.draw.is_all else [f"measured {judged.draw.summary(rows)}; the error includes that of the draw"]
    )
    if judged.inclusion is not None:
        known_to = wider * quality.standard_error
        reasons.append(more_labels(spec.metric, quality.value, known_to, labelled=rows, rows=covered.rows))
    return QualitySignal.model_validate(
        {
            **facts,
            "status": "measured" if enough else "not_enough",
            "reason": "; ".join(reasons),
            "value": quality.value,
            "standard_error": wider * quality.standard_error,
            "chance": quality.chance,
            **_worth(judged, holdout, spec, threshold),
            "lost_slices": tuple(one.name for one in slices if one.lost),
            "slices": slices,
        }
    )


def more_labels(name: str, value: float, error: float, *, labelled: int, rows: int) -> str:
    """Return to what half-width labels tell a metric, and how many would tell it more exactly.

    Args:
        name: The name of the metric.
        value: Its value.
        error: Its standard error.
        labelled: Number of labels.
        rows: Number of rows that could have labels.
    """
    half, wanted = _NINETY_FIVE * error, near(name, value)
    known = f"{name} is known to ±{half:.2g} by {labelled:,} labels"
    if not half > wanted > 0:
        return known
    needed = math.ceil(labelled * (half / wanted) ** 2)
    many = f"about {needed:,}" if needed <= rows else f"more rows than the {rows:,} of this window"
    return f"{known}; ±{wanted:.2g} needs {many}"


def _newest_share(mature: LabelledPredictions, newest: Window | None, overall: float | None) -> float | None:
    """Return the share of the newest window's rows that have a label; without such rows, that of all."""
    if newest is None or newest.since is None:
        return overall
    chosen = (mature.rows[mature.event_time] >= newest.since).to_numpy()
    return float(mature.labelled[chosen].mean()) if chosen.any() else overall


def _unknown_classes(judged: LabelledPredictions) -> list[str]:
    """Return how many labels are of a class that the model does not know; usually nothing."""
    unknown = int(judged.unknown.sum())
    if not unknown:
        return []
    counted = f"{unknown:,} of them ({unknown / len(judged.rows):.1%})"
    listed = named_classes(judged)
    return [f"{counted} are of a class that the model does not know ({listed}), so its answers are wrong"]


def _worth(
    judged: LabelledPredictions, holdout: LabelledPredictions, spec: ModelSpec, threshold: float | None
) -> dict[str, Any]:
    """Return the business value of a row, live and on the hold-out, if the spec gives answers a value."""
    policy = spec.training.business_value
    if policy is None:
        return {}
    worth = worth_of(policy, 0.5 if threshold is None else threshold)
    live, before = (
        business_value(rows.truth, rows.scores, worth, days=rows.days, entities=rows.entities)
        for rows in (judged, holdout)
    )
    return {
        "value_per_row": live.per_row,
        "value_error": live.standard_error,
        "value_interval": live.interval,
        "value_unit": policy.unit,
        "baseline_value_per_row": before.per_row,
        "baseline_value_error": before.standard_error,
    }


def _coverage_in_training(window: MonitoredWindow) -> float | None:
    """Return the share of the rows in the time of the champion's hold-out that have a label in the dataset."""
    monitored = window.monitored
    spec = monitored.context.spec
    dataset = monitored.context.workspace.table(spec.name, "dataset")
    times = monitored.reference.sample[spec.columns.time]
    span = monitored.windows.window.model_copy(
        update={"since": times.min().to_pydatetime(), "until": times.max().to_pydatetime()}
    )
    counts = [
        (len(chunk), int(chunk[spec.columns.target].notna().sum()))
        for chunk in dataset.batches(span, spec.columns.time, [spec.columns.target])
    ]
    rows = sum(rows for rows, _ in counts)
    return sum(labelled for _, labelled in counts) / rows if rows else None
