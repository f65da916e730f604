"""Score rows with a model, and return the scores as columns of the prediction log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import ModelError
from everfit.blocks.metrics import TaskKind
from everfit.tasks.core.records import ModelVersion
from everfit.tasks.models.corrected_model import parts_of
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.models.logged_model import LoggedModel
from everfit.tasks.predictions import prediction_log
from everfit.tasks.scoring.fast_path.argmax import predicts_most_probable
from everfit.tasks.scoring.fast_path.boosting import FastBoosting
from everfit.tasks.scoring.fast_path.linear import FastLinearModel
from everfit.tasks.scoring.fast_path.ordinal import FastOrdinalEncoding
from everfit.tasks.scoring.outliers import OutlierDetector, read_detector
from everfit.tasks.statistics.corrections import Correction

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator

_MEANS = {"VotingClassifier", "VotingRegressor"}
"""Estimators of scikit-learn that everfit makes to average predictions; a classifier averages probabilities."""


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


@dataclass(frozen=True)
class Scorer:
    """A fitted estimator with its inputs, version and outlier detector.

    Attributes:
        estimator: The fitted estimator, usually a pipeline.
        inputs: Schema of its inputs.
        version: Version in the registry.
        outliers: Detector of unusual inputs; None for a model that everfit didn't train.
    """

    estimator: "BaseEstimator"
    inputs: InputSchema
    version: int = 0
    outliers: OutlierDetector | None = None
    classes: list[Any] = field(init=False)

    def __post_init__(self) -> None:
        classes = getattr(self.estimator, "classes_", None)
        object.__setattr__(self, "classes", [] if classes is None else list(np.asarray(classes).tolist()))

    @cached_property
    def _argmax(self) -> bool:
        return predicts_most_probable(self.estimator)

    @cached_property
    def _members(self) -> "tuple[Scorer, ...]":
        """The members of an ensemble, each with its own fast path; empty for any other model."""
        steps = getattr(self.estimator, "steps", [])
        voting: Any = steps[0][1] if len(steps) == 1 else None
        if type(voting).__name__ not in _MEANS or voting.weights is not None:
            return ()
        if getattr(voting, "voting", "soft") != "soft":
            return ()
        return tuple(Scorer(member, self.inputs) for member in voting.estimators_)

    @cached_property
    def _corrected(self) -> "tuple[Scorer, Correction] | None":
        """The model that a remedy has corrected, with its own fast path, and the correction; None for any other."""
        parts = parts_of(self.estimator)
        return None if parts is None else (Scorer(parts[0], self.inputs), parts[1])

    @cached_property
    def encoding(self) -> FastOrdinalEncoding | None:
        """Fast encoding of columns for the last step, or None if its results would differ."""
        encoding = FastOrdinalEncoding.of(self.estimator, self.inputs)
        if encoding is None:
            return None
        columns = encoding.samples(self.inputs)
        try:
            fast, slow = self._scores(self._last, encoding.matrix(columns)), self.score(self.inputs.frame(columns))
        except (ModelError, TypeError, ValueError):
            return None  # the last step takes something other than numbers, or has no score for some of them
        pairs = [(fast.values, slow.values)]
        if fast.probabilities is not None and slow.probabilities is not None:
            pairs.append((fast.probabilities, slow.probabilities))
        return encoding if all(np.array_equal(left, right) for left, right in pairs) else None

    @cached_property
    def _linear(self) -> FastLinearModel | None:
        return FastLinearModel.of(self.estimator, self.inputs)

    @cached_property
    def _last(self) -> "BaseEstimator | FastBoosting":
        """The last step, or its fast path."""
        last = self.estimator.steps[-1][1]
        return FastBoosting.of(last) or last

    def score(self, frame: "pd.DataFrame") -> Scores:
        """Predict on rows.

        Args:
            frame: Features in the model's order; shape (rows, features).

        Returns:
            Scores of the rows.

        Raises:
            ModelError: If the model returns NaN or infinity.
        """
        return self._scores(self.estimator, frame)

    def score_columns(self, columns: Mapping[str, Sequence[Any]]) -> Scores:
        """Predict on checked columns, by a fast path if there is one.

        Args:
            columns: Columns from `InputSchema.check`.

        Returns:
            Scores of the rows.

        Raises:
            ModelError: If the model returns NaN or infinity.
        """
        if self._corrected is not None:
            model, correction = self._corrected
            return self._corrected_scores(model.score_columns(columns), correction)
        if self._members:
            return self._mean([member.score_columns(columns) for member in self._members])
        if self._linear is not None:
            return self._scores(self._linear, columns)
        if self.encoding is None:
            return self.score(self.inputs.frame(columns))
        return self._scores(self._last, self.encoding.matrix(columns))

    def outlier_scores(self, columns: Mapping[str, Sequence[Any]], rows: int) -> list[float] | list[None]:
        """Return how unusual checked rows are, from 0 to 1, or None for each row if there is no detector."""
        return [None] * rows if self.outliers is None else self.outliers.score(columns, rows)

    def _mean(self, scores: Sequence[Scores]) -> Scores:
        """Return the mean of the members' scores, as scikit-learn's voting estimators have it."""
        if not self.classes:
            numbers: npt.NDArray[np.float64] = np.mean([each.values for each in scores], axis=0)
            return Scores(numbers, numbers, None)
        known = [each.probabilities for each in scores if each.probabilities is not None]
        probabilities: npt.NDArray[np.float64] = np.mean(known, axis=0)
        values = np.asarray(self.estimator.classes_)[probabilities.argmax(axis=1)]
        return Scores(values, probabilities[:, 1] if len(self.classes) == 2 else None, probabilities)

    def _corrected_scores(self, scores: Scores, correction: Correction) -> Scores:
        """Return the scores of a corrected model, as its pipeline has them."""
        if scores.probabilities is None:
            numbers = correction.apply(scores.values)
            return Scores(numbers, numbers, None)
        if len(self.classes) == 2:
            second = correction.apply(scores.probabilities[:, 1])
            probabilities = np.column_stack([1 - second, second])
        else:
            second, probabilities = None, correction.apply(scores.probabilities)
        values = np.asarray(self.estimator.classes_)[probabilities.argmax(axis=1)]
        return Scores(values, second, probabilities)

    def _scores(
        self, estimator: Any, rows: "pd.DataFrame | npt.NDArray[np.float64] | Mapping[str, Sequence[Any]]"
    ) -> Scores:
        if not self.classes:
            values = np.asarray(estimator.predict(rows), dtype=np.float64)
            _refuse_nan(values)
            return Scores(values, values, None)
        probabilities = np.asarray(estimator.predict_proba(rows), dtype=np.float64)
        _refuse_nan(probabilities)
        classes = estimator.classes_
        values = classes[probabilities.argmax(axis=1)] if self._argmax else np.asarray(estimator.predict(rows))
        return Scores(values, probabilities[:, 1] if len(self.classes) == 2 else None, probabilities)


def _refuse_nan(values: npt.NDArray[np.float64]) -> None:
    if not np.isfinite(values).all():
        raise ModelError("the model returns NaN or infinity; check its training data, or roll it back")


def task_of(estimator: "BaseEstimator") -> TaskKind:
    """Infer the kind of prediction of an estimator that everfit didn't train."""
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        return "regression"
    return "binary" if len(classes) == 2 else "multiclass"


def read_scorer(folder: Path, version: ModelVersion) -> Scorer:
    """Load a model version from a folder, as MLflow logged it.

    Args:
        folder: Folder with the version's files.
        version: The version.

    Raises:
        ModelError: If it isn't a scikit-learn model saved with skops, or holds untrusted types.
        DataError: If its inputs aren't described.
    """
    from everfit.tasks.models.onnx_model import read_onnx
    from everfit.tasks.models.released_format import read_converted
    from everfit.tasks.models.skops_format import load_model

    name = f"version {version.version} of {version.model!r}"
    described = LoggedModel.read(folder)
    flavor = described.flavor("sklearn")
    if flavor.get("serialization_format") != "skops":
        saved_as = flavor.get("serialization_format", "no scikit-learn model")
        raise ModelError(f"{name} was saved as {saved_as!r}, and everfit loads only 'skops'; log it again with skops")
    file = (folder / str(flavor["pickled_model"])).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise ModelError(f"{name}: its file {flavor['pickled_model']!r} is outside the model's folder; log it again")
    converted = read_converted(folder)
    estimator = load_model(file.read_bytes()) if converted is None else read_onnx(converted)
    inputs, outliers = InputSchema.of_model(described, task_of(estimator)), read_detector(folder)
    if outliers is not None and not outliers.fits({column.name: column.kind for column in inputs.features}):
        outliers = None
    return Scorer(estimator, inputs, version.version, outliers)
