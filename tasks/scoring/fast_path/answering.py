"""How a model answers checked columns: by the fast paths that it has, or by its pipeline.

A model that needs no pipeline for that can be kept as numbers and texts (`stored.py`), so a service needs no
scikit-learn.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import ModelError
from everfit.tasks.models.corrected_model import parts_of
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.scoring.fast_path import boosting, linear, ordinal
from everfit.tasks.scoring.fast_path.argmax import predicts_most_probable
from everfit.tasks.scoring.fast_path.boosting import FastBoosting
from everfit.tasks.scoring.fast_path.linear import FastLinearModel
from everfit.tasks.scoring.fast_path.ordinal import FastOrdinalEncoding
from everfit.tasks.scoring.fast_path.stored import NotStorableError, Stored, restored_classes, stored_classes
from everfit.tasks.scoring.scores import Scores, mean_scores, most_probable_scores, predicted_scores
from everfit.tasks.statistics.corrections import Correction

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

Columns = Mapping[str, Sequence[Any]]
Classes = npt.NDArray[Any] | None

_MEANS = {"VotingClassifier", "VotingRegressor"}
"""Estimators of scikit-learn that everfit makes to average predictions; a classifier averages probabilities."""

_ENCODED, _MEAN, _CORRECTED = "encoded", "mean", "corrected"
"""Names of what these answers are made from."""


class Answering(Protocol):
    """Scores checked columns."""

    def scores(self, columns: Columns) -> Scores:
        """Return the scores of rows.

        Raises:
            ModelError: If the model returns NaN or infinity.
        """

    def stored(self) -> Stored:
        """Return what it is made from.

        Raises:
            NotStorableError: It needs its pipeline.
        """


@dataclass(frozen=True)
class ByPipeline:
    """Answers by the pipeline itself."""

    estimator: Any
    inputs: InputSchema
    classes: Classes

    def scores(self, columns: Columns) -> Scores:
        """Return the scores of rows."""
        return self.of_frame(self.inputs.frame(columns))

    def of_frame(self, frame: Any) -> Scores:
        """Return the scores of rows of a frame in the model's order of columns."""
        argmax = predicts_most_probable(self.estimator)
        return predicted_scores(self.estimator, frame, classifies=self.classes is not None, by_argmax=argmax)

    def stored(self) -> Stored:
        """Refuse, because a pipeline is more than numbers and texts."""
        raise NotStorableError("the model has no fast path")


@dataclass(frozen=True)
class ByLinearModel:
    """Answers by the fast path of a linear model."""

    model: FastLinearModel

    def scores(self, columns: Columns) -> Scores:
        """Return the scores of rows."""
        return predicted_scores(self.model, columns, classifies=self.model.classes_ is not None, by_argmax=True)

    def stored(self) -> Stored:
        """Return what it is made from."""
        return self.model.stored()


@dataclass(frozen=True)
class ByEncoding:
    """Answers by the last step of a pipeline, or its fast path, behind a fast encoding of the columns."""

    encoding: FastOrdinalEncoding
    last: Any
    classes: Classes
    by_argmax: bool

    def scores(self, columns: Columns) -> Scores:
        """Return the scores of rows."""
        matrix = self.encoding.matrix(columns)
        return predicted_scores(self.last, matrix, classifies=self.classes is not None, by_argmax=self.by_argmax)

    def stored(self) -> Stored:
        """Return what it is made from."""
        if not isinstance(self.last, FastBoosting):
            raise NotStorableError("the last step of the pipeline has no fast path")
        words = {"classes": stored_classes(self.classes), "by_argmax": self.by_argmax}
        return Stored(_ENCODED, words, parts=(self.encoding.stored(), self.last.stored()))


@dataclass(frozen=True)
class ByMean:
    """Answers by the mean of an ensemble's members, each with its own fast path."""

    members: tuple[Answering, ...]
    classes: Classes

    def scores(self, columns: Columns) -> Scores:
        """Return the scores of rows."""
        return mean_scores(self.classes, [member.scores(columns) for member in self.members])

    def stored(self) -> Stored:
        """Return what it is made from."""
        parts = tuple(member.stored() for member in self.members)
        return Stored(_MEAN, {"classes": stored_classes(self.classes)}, parts=parts)


@dataclass(frozen=True)
class ByCorrection:
    """Answers by the model that a remedy has corrected, with its own fast path, and the correction."""

    model: Answering
    correction: Correction
    classes: Classes

    def scores(self, columns: Columns) -> Scores:
        """Return the scores of rows, as the corrected model's pipeline has them."""
        known = self.model.scores(columns)
        if self.classes is None or known.probabilities is None:
            numbers = self.correction.apply(known.values)
            return Scores(numbers, numbers, None)
        if len(self.classes) == 2:
            second = self.correction.apply(known.probabilities[:, 1])
            return most_probable_scores(self.classes, np.column_stack([1 - second, second]))
        return most_probable_scores(self.classes, self.correction.apply(known.probabilities))

    def stored(self) -> Stored:
        """Return what it is made from."""
        words = {"classes": stored_classes(self.classes), "correction": self.correction.model_dump(mode="json")}
        return Stored(_CORRECTED, words, parts=(self.model.stored(),))


@dataclass(frozen=True)
class WithoutPipeline:
    """Stands for an estimator where only its answers are wanted."""

    answering: Answering
    classes_: Classes


def answering_of(estimator: "BaseEstimator", inputs: InputSchema) -> Answering:
    """Return how a fitted estimator answers fastest with the same results.

    Args:
        estimator: The estimator, usually a pipeline.
        inputs: Schema of its inputs.
    """
    if isinstance(estimator, WithoutPipeline):
        return estimator.answering
    classes = classes_of(estimator)
    if (corrected := parts_of(estimator)) is not None:
        return ByCorrection(answering_of(corrected[0], inputs), corrected[1], classes)
    if members := _members_of(estimator):
        return ByMean(tuple(answering_of(member, inputs) for member in members), classes)
    if (model := FastLinearModel.of(estimator, inputs)) is not None:
        return ByLinearModel(model)
    pipeline = ByPipeline(estimator, inputs, classes)
    return _by_encoding(pipeline) or pipeline


def restored(stored: Stored) -> Answering:
    """Return what answers from what `Answering.stored` has taken apart.

    Raises:
        ImportError: It needs a part of scikit-learn that is not in its usual place.
        NotStorableError: It is of another everfit.
    """
    words, parts = stored.words, stored.parts
    if stored.kind == linear.KIND:
        return ByLinearModel(FastLinearModel.restored(stored))
    if stored.kind == _MEAN:
        return ByMean(tuple(restored(part) for part in parts), restored_classes(words["classes"]))
    if stored.kind == _CORRECTED:
        correction = Correction.model_validate(words["correction"])
        return ByCorrection(restored(parts[0]), correction, restored_classes(words["classes"]))
    if stored.kind == _ENCODED and [part.kind for part in parts] == [ordinal.KIND, boosting.KIND]:
        encoding, last = FastOrdinalEncoding.restored(parts[0]), FastBoosting.restored(parts[1])
        return ByEncoding(encoding, last, restored_classes(words["classes"]), words["by_argmax"])
    raise NotStorableError(f"nothing answers from {stored.kind!r}")


def classes_of(estimator: Any) -> Classes:
    """Return the classes of an estimator; None for a regression."""
    classes = getattr(estimator, "classes_", None)
    return None if classes is None else np.asarray(classes)


def _members_of(estimator: Any) -> tuple[Any, ...]:
    """Return the members of an ensemble; none for any other model."""
    steps = getattr(estimator, "steps", [])
    voting: Any = steps[0][1] if len(steps) == 1 else None
    if type(voting).__name__ not in _MEANS or voting.weights is not None:
        return ()
    if getattr(voting, "voting", "soft") != "soft":
        return ()
    return tuple(voting.estimators_)


def _by_encoding(pipeline: ByPipeline) -> ByEncoding | None:
    """Return what answers by a fast encoding, or None if its results would differ."""
    encoding = FastOrdinalEncoding.of(pipeline.estimator, pipeline.inputs)
    if encoding is None:
        return None
    last = pipeline.estimator.steps[-1][1]
    argmax = predicts_most_probable(pipeline.estimator)
    fast = ByEncoding(encoding, FastBoosting.of(last) or last, pipeline.classes, argmax)
    columns = encoding.samples(pipeline.inputs)
    try:
        known, wanted = fast.scores(columns), pipeline.scores(columns)
    except (ModelError, TypeError, ValueError):
        return None  # the last step takes something other than numbers, or has no score for some of them
    pairs = [(known.values, wanted.values)]
    if known.probabilities is not None and wanted.probabilities is not None:
        pairs.append((known.probabilities, wanted.probabilities))
    return fast if all(np.array_equal(left, right) for left, right in pairs) else None
