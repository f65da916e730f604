"""The evidence area `previous`: the previous champion on the same labelled rows as a young one."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from everfit.blocks.spec import ModelSpec
from everfit.tasks.monitoring.holdout import resampled_days
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.statistics.comparison import compare
from everfit.tasks.statistics.scores import onto_classes
from everfit.tasks.triage.quality_signals import PreviousSignal

Floats = npt.NDArray[np.float64]


def compare_with_previous(window: MonitoredWindow) -> PreviousSignal:
    """Compare a young champion with the previous one; absent once the champion is no longer young."""
    monitored = window.monitored
    version = monitored.champion.previous_version
    if version is None or not monitored.is_young:
        return PreviousSignal()
    answers = monitored.mature.with_labels()
    scores_and_classes = monitored.previous_scores(answers) if len(answers.rows) else None
    if scores_and_classes is None:
        return PreviousSignal(status="not_enough", reason="there are no rows that both champions can answer")
    scores, classes = scores_and_classes
    return previous_signal(answers, scores, version, monitored.context.spec, knows=classes)


def previous_signal(
    answers: LabelledPredictions, previous_scores: Floats, version: int, spec: ModelSpec, *, knows: Sequence[str]
) -> PreviousSignal:
    """Compare the previous champion with the champion on the same labelled rows.

    Args:
        answers: The champion's answers, with labels.
        previous_scores: The previous champion's scores of those rows, shape (rows,); of a multiclass model shape
            (rows, classes it knows).
        version: The previous champion.
        spec: The model's spec.
        knows: The classes of the previous champion, as text, in its order; a binary model has the champion's.
    """
    if len(answers.rows) < spec.monitoring.min_labels:
        reason = f"{len(answers.rows):,} mature labels; {spec.monitoring.min_labels:,} are needed"
        return PreviousSignal(status="not_enough", reason=reason, version=version)
    if answers.task == "binary":  # neither model knows a third class
        answers, previous_scores = answers.of(~answers.unknown), previous_scores[~answers.unknown]
    if answers.task == "multiclass":
        answers = answers.among(knows)
        previous_scores = onto_classes(previous_scores, knows, answers.every_class)
    clusters = resampled_days(answers, spec)
    comparison = compare(answers.truth, previous_scores, answers.scores, spec.metric, clusters=clusters)
    gain, p_value = comparison.difference, comparison.p_value
    return PreviousSignal(status="measured", version=version, rows=comparison.rows, gain=gain, p_value=p_value)
