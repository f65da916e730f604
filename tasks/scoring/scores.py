"""The scores of some rows, and how they follow from what an estimator predicts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import ModelError
from everfit.tasks.predictions import prediction_log


@dataclass(frozen=True)
class Scores:
    """Scores of some rows.

    Attributes:
        values: Result of the estimator's `predict`; shape (rows,).
        score: Probability of the second class, or the predicted number; None for multiclass. Shape (rows,).
        probabilities: Probability of each class in the estimator's order; None for a regression. Shape (rows, classes).
    """

    values: npt.NDArray[Any]
    score: npt.NDArray[np.float64] | None
    probabilities: npt.NDArray[np.float64] | None

    def columns(self) -> dict[str, list[Any]]:
        """Return the log's columns `_prediction`, `_score` and `_probabilities`."""
        rows = len(self.values)
        regression = self.probabilities is None
        multiclass = self.score is None and self.probabilities is not None
        return {
            prediction_log.PREDICTION: self.values.tolist()
            if regression
            else [str(value) for value in self.values.tolist()],
            prediction_log.SCORE: [None] * rows if self.score is None else self.score.tolist(),
            prediction_log.PROBABILITIES: self.probabilities.tolist()
            if multiclass and self.probabilities is not None
            else [None] * rows,
        }


def predicted_scores(estimator: Any, rows: Any, *, classifies: bool, by_argmax: bool) -> Scores:
    """Return the scores of rows from the methods of an estimator.

    Args:
        estimator: An estimator, or what predicts as it does.
        rows: The rows in the form that it takes.
        classifies: Whether it has classes.
        by_argmax: Whether its class is always the most probable one, so that one call gives both.

    Raises:
        ModelError: If it returns NaN or infinity.
    """
    if not classifies:
        return number_scores(np.asarray(estimator.predict(rows), dtype=np.float64))
    probabilities = np.asarray(estimator.predict_proba(rows), dtype=np.float64)
    _refuse_nan(probabilities)
    classes = estimator.classes_
    values = classes[probabilities.argmax(axis=1)] if by_argmax else np.asarray(estimator.predict(rows))
    return Scores(values, probabilities[:, 1] if len(classes) == 2 else None, probabilities)


def number_scores(values: npt.NDArray[np.float64]) -> Scores:
    """Return the scores of a regression.

    Args:
        values: The predicted numbers; shape (rows,).

    Raises:
        ModelError: If one is NaN or infinite.
    """
    _refuse_nan(values)
    return Scores(values, values, None)


def most_probable_scores(classes: npt.NDArray[Any], probabilities: npt.NDArray[np.float64]) -> Scores:
    """Return the scores of a classification by the most probable class.

    Args:
        classes: The classes; shape (classes,).
        probabilities: Probability of each; shape (rows, classes).
    """
    values = classes[probabilities.argmax(axis=1)]
    return Scores(values, probabilities[:, 1] if len(classes) == 2 else None, probabilities)


def mean_scores(classes: npt.NDArray[Any] | None, parts: Sequence[Scores]) -> Scores:
    """Return the mean of the scores of several models, as scikit-learn's voting estimators have it.

    Args:
        classes: The classes; None for a regression.
        parts: The scores of each model.
    """
    if classes is None:
        numbers: npt.NDArray[np.float64] = np.mean([part.values for part in parts], axis=0)
        return Scores(numbers, numbers, None)
    known = [part.probabilities for part in parts if part.probabilities is not None]
    probabilities: npt.NDArray[np.float64] = np.mean(known, axis=0)
    return most_probable_scores(classes, probabilities)


def _refuse_nan(values: npt.NDArray[np.float64]) -> None:
    if not np.isfinite(values).all():
        raise ModelError("the model returns NaN or infinity; check its training data, or roll it back")
