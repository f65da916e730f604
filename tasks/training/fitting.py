"""Fit one candidate with one setting; the same rows in the same order give the same model."""

import random
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.blocks.extensions import is_reference
from everfit.blocks.policy import parse_duration
from everfit.blocks.spec import ModelSpec
from everfit.blocks.training import BOOSTING, ENSEMBLE
from everfit.tasks.core.cores import on_free_cores
from everfit.tasks.data.split import WEIGHT
from everfit.tasks.statistics.scores import target_values
from everfit.tasks.training.ensemble import ORDERED_BOOSTING, ensemble_of, groups_categories
from everfit.tasks.training.folds import VALIDATION_SHARE
from everfit.tasks.training.pipelines import build_pipeline
from everfit.tasks.training.quick_medians import medians_by_column
from everfit.tasks.training.results import Choice
from everfit.tasks.training.search import Setting

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.pipeline import Pipeline

Elsewhere = Callable[["BaseEstimator", "Pipeline", datetime | None], "BaseEstimator"]
"""Function that fits an estimator by its fitted steps before it, on rows before a time; None for all rows."""


def fit(
    spec: ModelSpec,
    features: list[str],
    candidate: str,
    setting: Setting,
    rows: pd.DataFrame,
    *,
    members: Mapping[str, "Pipeline"] | None = None,
    elsewhere: Elsewhere | None = None,
) -> "Pipeline":
    """Fit a candidate on rows in time order.

    Args:
        spec: Target, row weights and calibration.
        features: Names of the columns that the model uses.
        candidate: Name of the candidate, or `package.module:factory`.
        setting: Hyperparameters that override the spec's and the defaults.
        rows: Training rows with features, target and time; shape (rows, columns).
        members: Pipelines that were fitted on these rows before, by the JSON of their choice: an ensemble fits only
            the others.
        elsewhere: Function that fits the estimator, the last step, on rows that it reads itself; the rows here fit the
            steps before it, and a calibration.

    Returns:
        The fitted pipeline.
    """
    if candidate == ENSEMBLE:
        return _fitted_ensemble(spec, features, setting, rows, members or {})
    policy, target = spec.training, target_values(rows[spec.columns.target], spec.task)
    if is_reference(candidate):  # it may draw from the process's generators, whose state would otherwise vary
        random.seed(policy.seed)
        np.random.seed(policy.seed)  # noqa: NPY002 - a user's estimator may use the global generator
    model = build_pipeline(
        candidate,
        spec.task,
        rows[features],
        policy.seed,
        parameters={**policy.parameters.get(candidate, {}), **setting.parameters},
        class_weight=None if policy.class_weight == "none" else policy.class_weight,
        prose=spec.columns.text,
    )
    kept = len(rows) if policy.calibration == "none" else round(len(rows) * (1 - VALIDATION_SHARE))
    weights = training_weights(rows, spec.columns.time, policy.half_life)
    last = model.steps[-1][0]
    # A user's own imputer may get a sparse table, whose zeros only a plain fit counts.
    quick = nullcontext() if is_reference(candidate) else medians_by_column(model)
    if elsewhere is not None:
        with quick:
            columns = model[:-1].fit(rows[features].iloc[:kept], target.iloc[:kept])
        until = rows[spec.columns.time].iloc[kept].to_pydatetime() if kept < len(rows) else None
        model.steps[-1] = (last, elsewhere(model.steps[-1][1], columns, until))
    else:
        given = {} if weights is None else {f"{last}__sample_weight": weights[:kept]}
        with quick, on_free_cores() if _has_boosting(model) else nullcontext():
            model.fit(rows[features].iloc[:kept], target.iloc[:kept], **given)
    if kept < len(rows):
        fresh = rows[WEIGHT].to_numpy(dtype=np.float64)[kept:] if WEIGHT in rows else None
        model = _calibrated(model, policy.calibration, rows[features].iloc[kept:], target.iloc[kept:], fresh)
    if "n_jobs" in model.steps[-1][1].get_params():
        model.steps[-1][1].set_params(n_jobs=None)  # a served model predicts a few rows, where threads only cost time
    return model


def _has_boosting(model: "Pipeline") -> bool:
    """Whether the last step is scikit-learn's boosting, whose model is the same to the last bit on any threads."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    return isinstance(model.steps[-1][1], (HistGradientBoostingClassifier, HistGradientBoostingRegressor))


def _fitted_ensemble(
    spec: ModelSpec, features: list[str], setting: Setting, rows: pd.DataFrame, fitted: Mapping[str, "Pipeline"]
) -> "Pipeline":
    """Fit each member on the same rows; boosting twice where it has categories: grouped, and ordered as numbers."""

    def member(choice: Choice) -> "Pipeline":
        known = fitted.get(choice.canonical_json())
        return fit(spec, features, choice.candidate, choice.setting, rows) if known is None else known

    members: dict[str, Pipeline] = {}
    for name in spec.training.members_for(spec.task):
        members[name] = member(Choice(candidate=name, setting=Setting(span=setting.span)))
        if name == BOOSTING and groups_categories(members[name]):
            members[ORDERED_BOOSTING] = member(_ordered_boosting(setting.span))
    return ensemble_of(members, spec.task)


def _ordered_boosting(span: str) -> Choice:
    return Choice(candidate=BOOSTING, setting=Setting(parameters={"categorical_features": None}, span=span))


def is_member(spec: ModelSpec, choice: Choice) -> bool:
    """Whether an ensemble that the spec lists averages a model of this candidate and setting."""
    span, policy = choice.setting.span, spec.training
    if ENSEMBLE not in policy.candidates_for(spec.task) or choice.candidate not in policy.members_for(spec.task):
        return False
    return choice.setting == Setting(span=span) or choice == _ordered_boosting(span)


def training_weights(rows: pd.DataFrame, time: str, half_life: timedelta | None) -> npt.NDArray[np.float64] | None:
    """Return the weights of rows by their age, and those of fresh rows; None for equal weights.

    Args:
        rows: Training rows.
        time: The column of the event time.
        half_life: Span after which a row has half the weight; None for no decay.
    """
    weights = recency_weights(rows[time], half_life)
    if WEIGHT not in rows:
        return weights
    fresh = rows[WEIGHT].to_numpy(dtype=np.float64)
    return fresh if weights is None else weights * fresh


def recency_weights(times: pd.Series, half_life: timedelta | None) -> npt.NDArray[np.float64] | None:
    """Return weights that halve with every half-life before the newest row, or None for equal weights."""
    if half_life is None:
        return None
    age = (times.max() - times) / half_life
    return np.asarray(0.5 ** age.to_numpy(dtype=np.float64))


def since_of(span: str, until: datetime) -> datetime | None:
    """Return the start of a span of history that ends at `until`, or None for all history."""
    return None if span == "all" else until - parse_duration(span)


def _calibrated(
    model: "Pipeline",
    method: str,
    features: pd.DataFrame,
    target: pd.Series,
    weights: npt.NDArray[np.float64] | None,
) -> "Pipeline":
    """Return the pipeline with its last step calibrated on rows that it was not fitted on."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator
    from sklearn.pipeline import Pipeline

    known = target.isin(list(model.classes_))  # a class that first appears here can't be calibrated
    inner = CalibratedClassifierCV(FrozenEstimator(model.steps[-1][1]), method=method, cv=None)
    own = None if weights is None else weights[known.to_numpy(dtype=np.bool_)]
    inner.fit(model[:-1].transform(features[known]), target[known], own)
    return Pipeline([*model.steps[:-1], (model.steps[-1][0], inner)])
