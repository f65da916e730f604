"""Calibration: how far probabilities are from what happens."""

import numpy as np
import numpy.typing as npt

from everfit.tasks.core.records import Record
from everfit.tasks.evaluation.measurement import Measurement
from everfit.tasks.evaluation.scored_rows import ScoredRows
from everfit.tasks.gate.evidence import CalibrationEvidence

BINS = 10

Floats = npt.NDArray[np.float64]


class CalibrationBin(Record):
    """Rows whose predictions lie together."""

    rows: int
    predicted: float
    happened: float


def calibration_curve(predicted: Floats, happened: Floats) -> tuple[CalibrationBin, ...]:
    """Cut rows into bins of equal numbers by their prediction: the reliability curve, or residuals by decile.

    Args:
        predicted: Predictions, shape (rows,).
        happened: 0 or 1, or the value; shape (rows,).
    """
    order = np.argsort(predicted, kind="stable")
    return tuple(
        CalibrationBin(rows=len(part), predicted=float(predicted[part].mean()), happened=float(happened[part].mean()))
        for part in np.array_split(order, BINS)
        if len(part)
    )


def expected_calibration_error(predicted: Floats, happened: Floats) -> float:
    """Mean distance of predicted from observed frequency, over bins of equal width, weighted by their rows.

    M. P. Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI
    2015.

    Args:
        predicted: Probabilities, shape (rows,).
        happened: 0 or 1, shape (rows,).

    Example:
        >>> expected_calibration_error(np.array([0.25, 0.25, 0.75, 0.75]), np.array([0, 1, 1, 1]))
        0.25
    """
    bins = np.minimum((predicted * BINS).astype(np.intp), BINS - 1)
    gaps = np.bincount(bins, weights=predicted, minlength=BINS) - np.bincount(bins, weights=happened, minlength=BINS)
    return float(np.abs(gaps).sum() / predicted.size)


def of_the_answer(scored: ScoredRows, role: str) -> tuple[Floats, Floats]:
    """Probability of the positive class and whether it was; of many classes, those of the class that was answered."""
    scores = scored.scores[role]
    if scored.task == "multiclass":
        return scores.max(axis=1), (scored.predicted_classes(role) == scored.truth).astype(np.float64)
    return scores, scored.truth


def calibration_evidence(scored: ScoredRows) -> CalibrationEvidence:
    """The expected calibration error of challenger and champion."""
    errors = {
        role: expected_calibration_error(*of_the_answer(scored, role))
        for role in ("challenger", "champion")
        if role in scored.scores
    }
    return CalibrationEvidence.model_validate(errors)


def measure(measurement: Measurement) -> CalibrationEvidence | None:
    """Measure the expected calibration error of each model of classes."""
    return calibration_evidence(measurement.scored) if measurement.has_classes else None
