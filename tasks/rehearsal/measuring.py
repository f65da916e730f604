"""Measure a model on the labelled rows of a window: its quality, and what its predictions were worth."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import DataError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.predictions import labels
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.statistics.business_value import worth_of
from everfit.tasks.statistics.metrics import metric
from everfit.tasks.statistics.scores import onto_classes

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

Floats = npt.NDArray[np.float64]


class Measured(NamedTuple):
    """The worth of a model in a window.

    Attributes:
        quality: The spec's metric; None if the rows don't define it.
        money: The value of its predictions in money; None without a value or a quality.
    """

    quality: float | None
    money: float | None


def mature(answers: LabelledPredictions, spec: ModelSpec, until: datetime) -> LabelledPredictions:
    """Return the answers whose label is known and mature at a moment.

    Args:
        answers: Answers of a window with their labels.
        spec: The model's spec.
        until: The moment.
    """
    old = (answers.rows[answers.event_time] + spec.maturity <= until).to_numpy(dtype=np.bool_)
    return answers.of(answers.labelled & old)


def of_rows(spec: ModelSpec, rows: pd.DataFrame, classes: Sequence[str], event_time: str) -> LabelledPredictions:
    """Return kept rows as answers of a model that knows some classes.

    Args:
        spec: The model's spec.
        rows: Rows with `_label`; shape (rows, columns).
        classes: Classes of the model as text, in its order.
        event_time: Column of the event time.
    """
    from everfit.tasks.core.records import Window

    window = Window(until=rows[event_time].max().to_pydatetime())
    return LabelledPredictions(window, rows, event_time, spec.task, tuple(classes))


def estimator_scores(model: "BaseEstimator", features: pd.DataFrame, answers: LabelledPredictions) -> Floats:
    """Return a fitted model's scores of rows, in the classes of the answers.

    Args:
        model: The fitted pipeline.
        features: The rows in the model's columns; shape (rows, features).
        answers: The same rows with labels.
    """
    if answers.task == "regression":
        return np.asarray(model.predict(features), dtype=np.float64)
    probabilities = np.asarray(model.predict_proba(features), dtype=np.float64)
    if answers.task == "binary":
        return np.asarray(probabilities[:, 1])
    return onto_classes(probabilities, answers.classes, answers.every_class)


def measure(
    spec: ModelSpec, answers: LabelledPredictions, scores: Floats | None = None, threshold: float | None = None
) -> Measured:
    """Return the quality and the value of answers.

    Args:
        spec: The model's spec.
        answers: Labelled rows.
        scores: Scores of another model on these rows; by default those of the answers.
        threshold: Probability from which the model acts; by default one half.
    """
    if answers.rows.empty:
        return Measured(None, None)
    scored = metric(spec.metric, spec.task)
    if scores is None:
        scores = answers.scores
    truth = answers.truth
    try:
        quality = scored.score(truth, scores)
    except DataError:  # such as rows of one class
        return Measured(None, None)
    return Measured(quality, _money(spec, truth, scores, quality, threshold, greater=scored.greater_is_better))


def unit_of(spec: ModelSpec) -> str | None:
    """Return the unit of the value that the spec gives to predictions; None if it gives none.

    Args:
        spec: Its `training.business_value` counts before its `retraining.cost_benefit`.
    """
    if spec.training.business_value is not None:
        return spec.training.business_value.unit
    return None if spec.retraining.cost_benefit is None else spec.retraining.cost_benefit.unit


def _money(
    spec: ModelSpec, truth: Floats, scores: Floats, quality: float, threshold: float | None, *, greater: bool
) -> float | None:
    value, benefit = spec.training.business_value, spec.retraining.cost_benefit
    if value is not None:
        return float(worth_of(value, 0.5 if threshold is None else threshold)(truth, scores).sum())
    if benefit is None:
        return None
    return (1 if greater else -1) * benefit.value_per_metric_unit * quality * len(truth)


LABEL = labels.LABEL
