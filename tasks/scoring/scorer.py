"""Scoring: what a model says of rows, in the columns of the prediction log."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import ModelError
from everfit.blocks.metrics import TaskKind
from everfit.tasks.core.records import ModelVersion, Window
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.models.logged_model import LoggedModel
from everfit.tasks.predictions import prediction_log
from everfit.tasks.scoring.fast_path.boosting import FastBoosting
from everfit.tasks.scoring.fast_path.linear import FastLinearModel
from everfit.tasks.scoring.fast_path.ordinal import FastOrdinalEncoding
from everfit.tasks.scoring.outliers import OutlierDetector, detector_columns, read_detector
from everfit.tasks.scoring.seen_ids import SeenIds
from everfit.tasks.storage.tables import Table, row_keys

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from sklearn.base import BaseEstimator

# Whose `predict` is the class of the highest probability, so that one call gives both.
_ARGMAX_MODULES = (
    "sklearn.linear_model._logistic",
    "sklearn.ensemble._hist_gradient_boosting",
    "sklearn.ensemble._forest",
    "sklearn.tree",
    "everfit.tasks.models.onnx_model",
)


@dataclass(frozen=True)
class Scores:
    """Predictions of a model for some rows.

    Attributes:
        values: What the estimator's `predict` gives; shape (rows,).
        score: Probability of the second class, or the predicted number; nothing for multiclass. Shape (rows,).
        probabilities: Of each class in the estimator's order; nothing for a regression. Shape (rows, classes).
    """

    values: npt.NDArray[Any]
    score: npt.NDArray[np.float64] | None
    probabilities: npt.NDArray[np.float64] | None

    def columns(self) -> dict[str, list[Any]]:
        """The log's columns `_prediction`, `_score` and `_probabilities`."""
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
    """A fitted estimator and what is known of it.

    Attributes:
        estimator: Fitted; usually a pipeline.
        inputs: What it takes.
        version: In the registry.
        outliers: Tells how unlike the training data an input is; none for a model that everfit didn't train.
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
        last = self.estimator.steps[-1][1] if hasattr(self.estimator, "steps") else self.estimator
        return type(last).__module__.startswith(_ARGMAX_MODULES)

    @cached_property
    def short_way(self) -> FastOrdinalEncoding | None:
        """How to get from columns to the last step's input without a frame, if that gives the same answers."""
        found = FastOrdinalEncoding.of(self.estimator, self.inputs)
        if found is None:
            return None
        asked = found.samples(self.inputs)
        try:
            short, long = self._scores(self._last, found.matrix(asked)), self.score(self.inputs.frame(asked))
        except (ModelError, TypeError, ValueError):
            return None  # the last step was fitted on something else than numbers, or has no answer to some
        pairs = [(short.values, long.values)]
        if short.probabilities is not None and long.probabilities is not None:
            pairs.append((short.probabilities, long.probabilities))
        return found if all(np.array_equal(one, other) for one, other in pairs) else None

    @cached_property
    def _linear(self) -> FastLinearModel | None:
        return FastLinearModel.of(self.estimator, self.inputs)

    @cached_property
    def _last(self) -> "BaseEstimator | FastBoosting":
        """The last step, or its own short way."""
        last = self.estimator.steps[-1][1]
        return FastBoosting.of(last) or last

    def score(self, frame: "pd.DataFrame") -> Scores:
        """Predict on rows.

        Args:
            frame: The features in the model's order; shape (rows, features).

        Raises:
            ModelError: the model says of a row what is no number.
        """
        return self._scores(self.estimator, frame)

    def score_columns(self, columns: Mapping[str, Sequence[Any]]) -> Scores:
        """Predict on checked columns, the short way if there is one.

        Args:
            columns: As `InputSchema.check` gives them.

        Raises:
            ModelError: the model says of a row what is no number.
        """
        if self._linear is not None:
            return self._scores(self._linear, columns)
        if self.short_way is None:
            return self.score(self.inputs.frame(columns))
        return self._scores(self._last, self.short_way.matrix(columns))

    def outlier_scores(self, columns: Mapping[str, Sequence[Any]], rows: int) -> list[float] | list[None]:
        """How unlike the training data checked rows are, from 0 to 1; None if the model has no such check."""
        return [None] * rows if self.outliers is None else self.outliers.score(columns, rows)

    def _scores(
        self, estimator: Any, given: "pd.DataFrame | npt.NDArray[np.float64] | Mapping[str, Sequence[Any]]"
    ) -> Scores:
        if not self.classes:
            values = np.asarray(estimator.predict(given), dtype=np.float64)
            _refuse_nan(values)
            return Scores(values, values, None)
        probabilities = np.asarray(estimator.predict_proba(given), dtype=np.float64)
        _refuse_nan(probabilities)
        classes = estimator.classes_
        values = classes[probabilities.argmax(axis=1)] if self._argmax else np.asarray(estimator.predict(given))
        return Scores(values, probabilities[:, 1] if len(self.classes) == 2 else None, probabilities)


def _refuse_nan(values: npt.NDArray[np.float64]) -> None:
    if not np.isfinite(values).all():
        raise ModelError("the model answers with NaN or infinity; look at its training data, or roll back")


def task_of(estimator: "BaseEstimator") -> TaskKind:
    """What an estimator that everfit didn't train does."""
    classes = getattr(estimator, "classes_", None)
    if classes is None:
        return "regression"
    return "binary" if len(classes) == 2 else "multiclass"


def read_scorer(folder: Path, version: ModelVersion) -> Scorer:
    """Load a model version from a folder, as MLflow logged it.

    Args:
        folder: With the version's files.
        version: Which one it is.

    Raises:
        ModelError: it isn't a scikit-learn model saved with skops, or holds types that aren't trusted.
        DataError: it says nothing of its inputs.
    """
    from everfit.tasks.models.onnx_model import read_onnx
    from everfit.tasks.models.released_format import read_converted
    from everfit.tasks.models.skops_format import load_model

    name = f"version {version.version} of {version.model!r}"
    described = LoggedModel.read(folder)
    flavor = described.flavor("sklearn")
    if flavor.get("serialization_format") != "skops":
        kept_as = flavor.get("serialization_format", "no scikit-learn model")
        raise ModelError(f"{name} was saved as {kept_as!r}, and only 'skops' is loaded; log it again with skops")
    file = (folder / str(flavor["pickled_model"])).resolve()
    if not file.is_relative_to(folder.resolve()):
        raise ModelError(f"{name}: its file {flavor['pickled_model']!r} lies outside of the model")
    converted = read_converted(folder)
    estimator = load_model(file.read_bytes()) if converted is None else read_onnx(converted)
    inputs, outliers = InputSchema.of_model(described, task_of(estimator)), read_detector(folder)
    if outliers is not None and not outliers.fits({column.name: column.kind for column in inputs.features}):
        outliers = None
    return Scorer(estimator, inputs, version.version, outliers)


@dataclass(frozen=True)
class ScoringBatch:
    """Rows that are predicted together without being asked for over HTTP.

    Attributes:
        window: Of their event time; its end is the time of prediction.
        arm: In which the model predicts.
        client: Who asked for it.
        once: Pass over rows that another version has predicted already in this arm for this client, as well as those
            that this version has.
    """

    window: Window
    arm: prediction_log.Arm = "champion"
    client: str = prediction_log.BATCH
    once: bool = False

    @property
    def at_ms(self) -> int:
        """The time of prediction, in milliseconds since 1970."""
        return int(self.window.until.timestamp() * 1000)


def score_window(scorer: Scorer, chunks: "Iterable[pd.DataFrame]", table: Table, batch: ScoringBatch) -> int:
    """Score a window into the prediction log, chunk by chunk; what the log has already is passed over.

    Args:
        scorer: The model.
        chunks: The window's rows, in pieces that fit in memory, in any order.
        table: The prediction log.
        batch: The rows.

    Returns:
        How many predictions were added.
    """
    known = _known_ids(table, scorer, batch)
    key = [column.name for column in scorer.inputs.key]
    added = 0
    for chunk in chunks:
        if len(chunk) == 0:
            continue
        rows = scorer.inputs.conform(chunk)
        # The same rows always get the same ids.
        ids = np.array(prediction_log.repeatable_ids(batch.at_ms, row_keys(rows, key), scorer.version))
        fresh = known.take(ids.tolist())
        if not fresh.any():
            continue
        kept: list[str] = ids[fresh].tolist()
        logged = _score_rows(scorer, rows[fresh].reset_index(drop=True), kept, batch)
        prediction_log.append(table, logged, f"score-{kept[0]}-{kept[-1]}-{len(kept)}")
        added += len(kept)
    return added


def _score_rows(scorer: Scorer, rows: "pd.DataFrame", ids: Sequence[str], batch: ScoringBatch) -> "pa.Table":
    """Score rows that conform to the model's inputs into the columns of the prediction log."""
    import pandas as pd

    inputs, detector, count = scorer.inputs, scorer.outliers, len(rows)
    scores = scorer.score(rows[[column.name for column in inputs.features]])
    kinds = prediction_log.column_kinds(inputs)
    given = {
        name: rows[name].astype("str") if kind == "string" and rows[name].dtype == object else rows[name]
        for name, kind in kinds.items()
        if name in rows
    }
    columns: dict[str, Any] = {
        **given,
        **scores.columns(),
        prediction_log.PREDICTION_ID: ids,
        prediction_log.PREDICTED_AT: pd.Series([pd.Timestamp(batch.window.until)] * count).dt.as_unit("us"),
        prediction_log.MODEL_VERSION: [scorer.version] * count,
        prediction_log.ARM: [batch.arm] * count,
        prediction_log.LATENCY: [None] * count,
        prediction_log.OUTLIER: [None] * count
        if detector is None
        else detector.score(detector_columns(rows, detector), count),
        prediction_log.CLIENT: [batch.client] * count,
    }
    return prediction_log.to_rows(columns, kinds, [column.name for column in inputs.key], inputs.event_time)


def _known_ids(table: Table, scorer: Scorer, batch: ScoringBatch) -> SeenIds:
    """What is passed over: rows that were predicted for the same, and ids that are given away already."""
    known = SeenIds()
    if not table.exists():
        return known
    event_time = scorer.inputs.event_time
    columns = [prediction_log.PREDICTION_ID, prediction_log.MODEL_VERSION, prediction_log.ARM, prediction_log.CLIENT]
    front = prediction_log.repeatable_ids(batch.at_ms, np.zeros(1, dtype=np.int64), scorer.version)[0][:18]
    for frame in table.batches(batch.window, event_time, [*columns, event_time]):
        ours = (frame[prediction_log.CLIENT] == batch.client) & (frame[prediction_log.ARM] == batch.arm)
        if not batch.once:
            ours &= frame[prediction_log.MODEL_VERSION] == scorer.version
        ours |= frame[prediction_log.PREDICTION_ID].str.startswith(front)
        known.take(frame.loc[ours, prediction_log.PREDICTION_ID].tolist())
    return known
