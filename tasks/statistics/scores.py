"""Convert frames to the arrays that metrics read: labels, and a model's scores."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.metrics import TaskKind

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

Floats = npt.NDArray[np.float64]


def target_values(target: pd.Series, task: TaskKind) -> pd.Series:
    """Return the target as a model is fitted on it: numbers for a regression; whole numbers or text for classes."""
    if task == "regression":
        return target.astype("float64")
    if pd.api.types.is_numeric_dtype(target.dtype):
        whole = (target == target.round()).all()
        return target.astype("int64") if whole else target.astype("str")
    return target.astype("str")


def class_list(target: pd.Series, task: TaskKind) -> list[object]:
    """Return the occurring classes, in scikit-learn's order; empty for a regression."""
    return [] if task == "regression" else sorted(target_values(target, task).unique().tolist())


def class_indices(target: pd.Series, classes: Sequence[object], task: TaskKind) -> Floats:
    """Return labels as numbers: 0 and 1, the position of the class, or the value itself; shape (rows,)."""
    values = target_values(target, task)
    if task == "regression":
        return np.asarray(values, dtype=np.float64)
    return np.asarray(values.map({known: position for position, known in enumerate(classes)}), dtype=np.float64)


def model_scores(model: "Pipeline", features: pd.DataFrame, classes: Sequence[object], task: TaskKind) -> Floats:
    """Return a model's scores: the probability of the second class, of each class, or the value.

    Args:
        model: The fitted pipeline.
        features: The rows; shape (rows, features).
        classes: All possible classes, in order; those that the model doesn't know get a probability of 0.
        task: Kind of prediction.

    Returns:
        Scores; shape (rows,), or (rows, classes) for a multiclass model.
    """
    if task == "regression":
        return np.asarray(model.predict(features), dtype=np.float64)
    probabilities = onto_classes(model.predict_proba(features), model.classes_.tolist(), classes)
    return probabilities[:, 1] if task == "binary" else probabilities


def onto_classes(probabilities: Floats, known: Sequence[object], classes: Sequence[object]) -> Floats:
    """Map a model's probabilities to other classes than its own, so that models can be compared.

    Args:
        probabilities: Probabilities of the model; shape (rows, known).
        known: Classes of the model, in its order.
        classes: All possible classes; those that the model doesn't know get a probability of 0.

    Returns:
        Probabilities; shape (rows, classes).

    Example:
        >>> onto_classes(np.array([[0.2, 0.8]]), ["a", "c"], ["a", "b", "c"]).tolist()
        [[0.2, 0.0, 0.8]]
    """
    mapped = np.zeros((len(probabilities), len(classes)))
    places = {value: position for position, value in enumerate(classes)}
    mapped[:, [places[value] for value in known]] = probabilities
    return mapped


def prior_scores(target: pd.Series, rows: int, classes: Sequence[object], task: TaskKind) -> Floats:
    """Return the scores of a model without features: the mean, or the classes' shares, of its training labels."""
    values = target_values(target, task)
    if task == "regression":
        return np.full(rows, float(values.mean()))
    shares = np.array([float((values == known).mean()) for known in classes])
    return np.full(rows, float(shares[1])) if task == "binary" else np.tile(shares, (rows, 1))
