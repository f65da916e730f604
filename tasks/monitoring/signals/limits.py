"""Fairness and calibration of a model in use, for the evidence areas `fairness` and `calibration`."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import NotEnoughError
from everfit.tasks.evaluation.fairness import group_names
from everfit.tasks.monitoring.monitored_window import MonitoredWindow
from everfit.tasks.predictions import prediction_log
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.statistics.group_gaps import Gap, calibration_gap, widest_gap
from everfit.tasks.triage.limit_signals import CalibrationSignal, FairnessSignal, LimitedFigure


def measure_fairness(window: MonitoredWindow) -> FairnessSignal:
    """Measure the differences between the groups of each protected column.

    Parity is of all the champion's answers in the newest window, odds are of its answers with mature labels. A model of
    many classes is measured class against rest, and its widest difference counts.

    Raises:
        NotEnoughError: No column has two groups of enough rows.
    """
    monitored = window.monitored
    spec = monitored.context.spec
    columns, policy = spec.columns.protected, spec.monitoring.fairness
    if spec.task == "regression" or not columns or (policy is None and spec.gate.fairness is None):
        return FairnessSignal(reason="the spec limits no difference between groups of protected columns")
    answers, start = monitored.answers, monitored.windows.window.since
    if start is not None and len(answers.rows):
        answers = answers.of((answers.rows[answers.event_time] >= start).to_numpy())
    parity_limit = None if policy is None else policy.max_demographic_parity_difference
    odds_limit = None if policy is None else policy.max_equalized_odds_difference
    figures = []
    for column in columns:
        if (gap := parity(answers, column)) is not None:
            figures.append(_figure("parity", f"demographic parity difference of {column}", column, gap, parity_limit))
        if (gap := odds(monitored.mature.with_labels(), column)) is not None:
            figures.append(_figure("odds", f"equalized odds difference of {column}", column, gap, odds_limit))
    if not figures:
        raise NotEnoughError(f"{', '.join(columns)}: fewer than two groups have 20 answers in this window")
    measured = {figure.name.partition("_of_")[0] for figure in figures}
    missing = "" if odds_limit is None or "odds" in measured else "too few mature labels for equalized odds"
    drawn = answers.draw.summary(len(answers.rows))
    reason = "; ".join(filter(None, [missing, drawn and f"measured {drawn}"]))
    return FairnessSignal(status="measured", reason=reason, figures=tuple(figures))


def measure_calibration(window: MonitoredWindow) -> CalibrationSignal:
    """Measure the expected calibration error on the rows with mature labels.

    Raises:
        NotEnoughError: There are too few mature labels.
    """
    monitored = window.monitored
    spec = monitored.context.spec
    policy = spec.monitoring.calibration
    if spec.task == "regression" or (policy is None and spec.gate.calibration is None):
        return CalibrationSignal(reason="the spec limits no error of the probabilities")
    judged = monitored.mature.with_labels()
    if len(judged.rows) < spec.monitoring.min_labels:
        raise NotEnoughError(f"{len(judged.rows):,} mature labels; {spec.monitoring.min_labels:,} are needed")
    predicted, happened = _probabilities(judged)
    clusters = judged.days if judged.entities is None else judged.entities
    gap = calibration_gap(predicted, happened, clusters, weights=_weights(judged))
    limit = None if policy is None else policy.max_error
    figure = LimitedFigure(
        name="error",
        label="expected calibration error",
        value=gap.value,
        low=gap.low,
        high=gap.high,
        rows=gap.rows,
        limit=limit,
    )
    drawn = judged.draw.summary(len(judged.rows))
    return CalibrationSignal(status="measured", reason=drawn and f"measured {drawn}", figures=(figure,))


def parity(answers: LabelledPredictions, column: str) -> Gap | None:
    """Return the widest difference between the groups' shares of an answer; None without two groups.

    Args:
        answers: Answers, with or without labels.
        column: The protected column.
    """
    rows = answers.rows
    if column not in rows or rows.empty:
        return None
    groups = _groups(answers, column)
    gaps = [
        widest_gap(chosen, groups, answers.days, entities=answers.entities, tests=len(answers.classes))
        for chosen in _answered(answers)
    ]
    return _widest(gaps)


def odds(judged: LabelledPredictions, column: str) -> Gap | None:
    """Return the widest difference between the groups' true or false positive rates; None without two groups.

    Args:
        judged: Answers with labels.
        column: The protected column.
    """
    if column not in judged.rows or judged.rows.empty:
        return None
    groups, weights, truth = _groups(judged, column), _weights(judged), judged.truth
    positives = [place for place, _ in _positive(judged)]
    gaps = []
    for place, chosen in zip(positives, _answered(judged), strict=True):
        for happened in (truth == place, truth != place):
            part = judged.of(happened)
            gaps.append(
                widest_gap(
                    chosen[happened],
                    groups[happened],
                    part.days,
                    entities=part.entities,
                    weights=None if weights is None else weights[happened],
                    tests=2 * len(positives),
                )
            )
    return _widest(gaps)


def _widest(gaps: list[Gap | None]) -> Gap | None:
    """Return the gap that is most certainly wide."""
    return max((gap for gap in gaps if gap is not None), key=lambda gap: (gap.low, gap.value), default=None)


def _positive(answers: LabelledPredictions) -> list[tuple[int, str]]:
    """Return the classes that are looked at, by their place in the truth."""
    named = list(enumerate(answers.every_class))
    return named[1:2] if answers.task == "binary" else named


def _answered(answers: LabelledPredictions) -> Iterator[npt.NDArray[np.float64]]:
    """Yield for each class that is looked at whether it was the answer of a row; shape (rows,)."""
    given = answers.rows[prediction_log.PREDICTION].astype(str).to_numpy()
    for _, name in _positive(answers):
        yield (given == name).astype(np.float64)


def _groups(answers: LabelledPredictions, column: str) -> npt.NDArray[np.str_]:
    return group_names(answers.rows[column]).astype(str)


def _weights(judged: LabelledPredictions) -> npt.NDArray[np.float64] | None:
    inclusion = judged.inclusion
    return None if inclusion is None else 1 / inclusion


def _probabilities(judged: LabelledPredictions) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the probability of the positive class, or of the class that was answered, and whether it happened."""
    scores: npt.NDArray[np.float64] = judged.scores
    if judged.task != "multiclass":
        return scores, judged.truth
    return scores.max(axis=1), (scores.argmax(axis=1) == judged.truth).astype(np.float64)


def _figure(kind: str, label: str, column: str, gap: Gap, limit: float | None) -> LimitedFigure:
    facts: dict[str, Any] = {"value": gap.value, "low": gap.low, "high": gap.high, "rows": gap.rows, "limit": limit}
    return LimitedFigure(name=f"{kind}_of_{column}", label=label, groups=gap.names, **facts)
