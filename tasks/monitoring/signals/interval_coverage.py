"""The evidence area `intervals`: the coverage of intervals and sets, and the bounds that follow from it."""

from datetime import datetime

import numpy as np
import pandas as pd

from everfit.blocks.errors import NotEnoughError
from everfit.tasks.core.answer_bounds import AnswerBounds
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.answer_bounds import HeldOutScores, row_weights
from everfit.tasks.monitoring.monitored_model import MonitoredModel
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.predictions import prediction_log
from everfit.tasks.predictions.key_draw import MOST
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions, read_labelled_predictions
from everfit.tasks.statistics.day_errors import dependent_error, mean_error_by_days
from everfit.tasks.triage.interval_signal import IntervalSignal

_WINDOWS = 4
"""The number of windows whose rows are read, which is enough for the newest scores."""


def measure_intervals(window: MonitoredWindow) -> IntervalSignal:
    """Measure the coverage on rows whose labels have matured since the last look, and adapt the bounds to it.

    Raises:
        NotEnoughError: Too few labels have come.
    """
    monitored = window.monitored
    spec = monitored.context.spec
    promised = spec.release.serving.intervals
    if promised is None:
        return IntervalSignal(reason="release.serving.intervals is not set")
    last = last_adapted(monitored, promised)
    live = _live_answers(monitored, None if last is None else last.adapted_until)
    held_out = HeldOutScores.of(monitored.holdout)
    before = last or held_out.bounds(promised)
    return interval_signal(live, held_out, before, spec.monitoring.min_labels)


def last_adapted(monitored: MonitoredModel, promised: float) -> AnswerBounds | None:
    """Return the bounds that an earlier look has adapted for the champion; None if there is none."""
    for judged in reversed(monitored.judged):
        area = judged.signals.intervals
        same = judged.signals.reference.version == monitored.champion.version
        if judged.decision.window.until < monitored.until and same and area.measured and area.adapted is not None:
            return area.adapted if area.adapted.promised == promised else None
    return None


def interval_signal(
    live: LabelledPredictions, held_out: HeldOutScores, before: AnswerBounds, min_labels: int
) -> IntervalSignal:
    """Return the coverage of answers, and the bounds that follow from it.

    Args:
        live: Answers with labels, in the order of time, with the bounds that they were answered with.
        held_out: The scores of the hold-out.
        before: The bounds in force.
        min_labels: How many fresh labels are needed.

    Raises:
        NotEnoughError: There are fewer.
    """
    times, until = live.rows[live.event_time], live.window.until
    since = live.window.since if before.adapted_until is None else before.adapted_until
    fresh = live if since is None else live.of((times >= since).to_numpy(dtype=np.bool_))
    if len(fresh.rows) < min_labels:
        raise NotEnoughError(f"{len(fresh.rows):,} labels have come since the last look; {min_labels:,} are needed")
    span = Window(since=since, until=until)
    return IntervalSignal(
        status="measured",
        promised=before.promised,
        window=span,
        regression=live.task == "regression",
        adapted=held_out.adapted(before, fresh, live, until),
        **_coverage(fresh),
    )


def _coverage(fresh: LabelledPredictions) -> dict[str, float | int | None]:
    """Return the coverage of the rows that were answered with an interval or a set; empty without such rows."""
    rows = fresh.rows
    if prediction_log.BOUND not in rows or rows[prediction_log.BOUND].isna().all():
        return {}
    answered = fresh.of(rows[prediction_log.BOUND].notna().to_numpy(dtype=np.bool_))
    bounds = answered.rows[prediction_log.BOUND].to_numpy(dtype=np.float64)
    scores, truth, weights = answered.scores, answered.truth, row_weights(answered)
    if answered.task == "regression":
        covered, sizes = np.abs(truth - scores) <= bounds, 2 * bounds
    else:
        chances = np.column_stack([1 - scores, scores]) if answered.task == "binary" else scores
        inside = 1 - chances <= bounds[:, None]
        inside[np.arange(len(bounds)), chances.argmax(axis=1)] = True
        covered, sizes = inside[np.arange(len(bounds)), truth.astype(np.int64)], inside.sum(axis=1)
    values = covered.astype(np.float64)
    share = float(np.average(values, weights=weights))
    effective = len(values) if weights is None else float(weights.sum() ** 2 / np.square(weights).sum())
    # As if one row more were covered and one not: few rows that were all right don't show that all are.
    smoothed = (share * effective + 1) / (effective + 2)
    by_rows = float(np.sqrt(smoothed * (1 - smoothed) / effective))
    groups = answered.days if answered.entities is None else answered.entities
    abstained = answered.rows.get(prediction_log.ABSTAINED, pd.Series(dtype="object")).dropna()
    return {
        "rows": len(values),
        "covered": share,
        "standard_error": dependent_error(by_rows, mean_error_by_days(values, groups, weights)),
        "size": float(np.average(sizes, weights=weights)),
        "abstained": float(abstained.astype(bool).mean()) if len(abstained) else None,
    }


def _live_answers(monitored: MonitoredModel, adapted_until: datetime | None) -> LabelledPredictions:
    """Return the champion's newest answers with mature labels, at least back to where bounds were adapted."""
    spec, windows, table = monitored.context.spec, monitored.windows, monitored.context.workspace.table
    until = windows.labelled.until
    newest = until - _WINDOWS * windows.policy_window
    since = max(newest if adapted_until is None else min(newest, adapted_until), windows.unseen_since)
    answers = read_labelled_predictions(
        table(spec.name, "predictions"),
        monitored.labels,
        Window(since=since, until=until),
        monitored.event_time,
        monitored.until,
        task=spec.task,
        classes=monitored.classes,
        version=monitored.champion.version,
        also=[prediction_log.BOUND, prediction_log.ABSTAINED],
        entity=spec.columns.entity,
        clients=spec.monitoring.clients,
        most=MOST,
    )
    return answers.with_labels()
