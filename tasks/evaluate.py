"""Evaluate: challenger, champion and a dummy on the same later rows, which no model has trained on."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.errors import DataError
from everfit.blocks.metrics import TaskKind
from everfit.blocks.spec import ModelSpec
from everfit.tasks.comparison import PairedComparison, compare
from everfit.tasks.gate import Evidence
from everfit.tasks.holdout import count_overlap
from everfit.tasks.leaks import suspected_leaks
from everfit.tasks.metrics import metric
from everfit.tasks.records import ModelVersion, Window
from everfit.tasks.scores import class_indices, labels, model_scores, prior_scores
from everfit.tasks.split import TrainingData
from everfit.tasks.tables import KEY
from everfit.tasks.train import Fitted, read_model
from everfit.tasks.validate import Validation

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

REPORTED: dict[TaskKind, tuple[str, ...]] = {
    "binary": ("roc_auc", "average_precision", "log_loss", "brier", "accuracy"),
    "multiclass": ("log_loss", "accuracy", "balanced_accuracy", "f1_macro"),
    "regression": ("rmse", "mae", "r2"),
}
"""The metrics that are told beside the primary one."""


@dataclass(frozen=True)
class Incumbent:
    """The champion that is to be beaten, loaded."""

    version: ModelVersion
    model: "Pipeline"


@dataclass(frozen=True)
class _Judged:
    """The hold-out rows, and what each model says of them."""

    rows: pd.DataFrame
    truth: npt.NDArray[np.float64]
    scores: dict[str, npt.NDArray[np.float64]]


def evaluate(data: TrainingData, challenger: Fitted, incumbent: Incumbent | None, validation: Validation) -> Evidence:
    """Measure the challenger against the champion and a dummy.

    Rows before the moment up to which the champion was trained are left out of the hold-out.

    Raises:
        DataError: no row is left that neither model has trained on, or the primary metric has no value there.
    """
    spec = data.spec
    holdout = _unseen(data, incumbent)
    training = data.training_rows(data.split.training)
    judged = _judge(data, holdout, training, challenger, incumbent)
    values = {name: _metrics(spec, judged.truth, scores) for name, scores in judged.scores.items()}
    return Evidence(
        model=spec.name,
        metric=spec.metric,
        greater_is_better=metric(spec.metric).greater_is_better,
        holdout=holdout,
        holdout_rows=len(judged.rows),
        holdout_digest=hashlib.sha256(np.sort(judged.rows[KEY].to_numpy()).tobytes()).hexdigest(),
        overlap_rows=count_overlap(judged.rows[KEY], training[KEY]),
        challenger_trained_until=challenger.trained_on.until,
        champion_version=incumbent.version.version if incumbent else None,
        champion_trained_until=incumbent.version.trained_until if incumbent else None,
        challenger=values["challenger"],
        champion=values.get("champion"),
        dummy=values["dummy"],
        comparison=_compared(spec, judged, "champion") if incumbent else None,
        dummy_comparison=_compared(spec, judged, "dummy"),
        expectations_passed=validation.passed,
        suspected_leaks=suspected_leaks(training[data.features], training[spec.columns.target], spec.task),
    )


def _unseen(data: TrainingData, incumbent: Incumbent | None) -> Window:
    """The part of the hold-out that the champion has not trained on."""
    holdout = data.split.holdout
    if incumbent is None or holdout.since is None or incumbent.version.trained_until <= holdout.since:
        return holdout
    seen = incumbent.version.trained_until
    if seen >= holdout.until:
        raise DataError(
            f"{data.spec.name}: champion {incumbent.version.version} has trained on all rows before "
            f"{seen:%Y-%m-%d %H:%M}, so the hold-out ({holdout}) has none left to compare on; "
            f"choose a later until, or wait for new labels"
        )
    return Window(since=seen, until=holdout.until)


def _judge(
    data: TrainingData, holdout: Window, training: pd.DataFrame, challenger: Fitted, incumbent: Incumbent | None
) -> _Judged:
    spec, target = data.spec, data.spec.columns.target
    rows = data.rows(holdout, "compare on", list(incumbent.model.feature_names_in_) if incumbent else [])
    models = {"challenger": read_model(challenger, data.workspace)}
    models |= {"champion": incumbent.model} if incumbent else {}
    classes = _classes(spec, rows, list(models.values()))
    scores = {
        name: model_scores(model, _inputs(model, rows, spec), classes, spec.task) for name, model in models.items()
    }
    scores["dummy"] = prior_scores(training[target], len(rows), classes, spec.task)
    return _Judged(rows, class_indices(rows[target], classes, spec.task), scores)


def _inputs(model: "Pipeline", rows: pd.DataFrame, spec: ModelSpec) -> pd.DataFrame:
    """The columns that the model was fitted on; a champion may have been given others than the challenger."""
    names = list(model.feature_names_in_)
    if missing := [name for name in names if name not in rows.columns]:
        raise DataError(
            f"{spec.name}: the champion needs the column {missing[0]!r}, which the dataset has not; "
            f"bring the column back, or release a version without it by `everfit rollback`"
        )
    return rows[names]


def _classes(spec: ModelSpec, rows: pd.DataFrame, models: "list[Pipeline]") -> list[object]:
    if spec.task == "regression":
        return []
    known = {value for model in models for value in model.classes_.tolist()}
    return sorted(known | set(labels(rows[spec.columns.target], spec.task).tolist()), key=str)


def _metrics(
    spec: ModelSpec, truth: npt.NDArray[np.float64], scores: npt.NDArray[np.float64]
) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for name in dict.fromkeys([spec.metric, *spec.gate.minimum, *REPORTED[spec.task]]):
        try:
            values[name] = metric(name).score(truth, scores)
        except DataError:
            if name == spec.metric:
                raise
            values[name] = None  # not defined on these rows, and so no evidence
    return values


def _compared(spec: ModelSpec, judged: _Judged, other: str) -> PairedComparison:
    days = judged.rows[spec.columns.event_time].dt.floor("D").astype("int64") if spec.gate.resample == "days" else None
    return compare(
        judged.truth,
        judged.scores["challenger"],
        judged.scores[other],
        spec.metric,
        confidence=spec.gate.confidence,
        draws=spec.gate.draws,
        seed=spec.training.seed,
        clusters=days,
    )
