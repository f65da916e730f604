"""Build the candidates: scikit-learn pipelines that include their preprocessing, so that it ships with the model."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from everfit.blocks.errors import DataError, ExtensionError, TrainingError
from everfit.blocks.extensions import is_reference
from everfit.blocks.metrics import TaskKind
from everfit.blocks.search import Space
from everfit.blocks.training import DASK_TRAINERS
from everfit.tasks.core.extensions import load_extension
from everfit.tasks.training.text_step import with_texts

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

MAX_CATEGORIES = 200
"""Number of categories that a column keeps apart; rarer ones are merged."""

_LINEAR = ("logistic_regression", "ridge")
"""Candidates that take the words of a text as a sparse matrix."""

SPACES: dict[str, dict[str, Space]] = {
    "hist_gradient_boosting": {
        "learning_rate": Space(low=0.02, high=0.3, log=True),
        "max_leaf_nodes": Space(low=7, high=63, log=True),
        "min_samples_leaf": Space(low=5, high=200, log=True),
        "l2_regularization": Space(low=1e-3, high=10.0, log=True),
        "max_iter": Space(low=50, high=400, log=True),
    },
    "random_forest": {
        "n_estimators": Space(choices=(100, 200)),
        "min_samples_leaf": Space(low=1, high=50, log=True),
        "max_features": Space(low=0.2, high=1.0),
    },
    "logistic_regression": {"C": Space(low=1e-3, high=100.0, log=True)},
    "ridge": {"alpha": Space(low=1e-2, high=1e4, log=True)},
}
"""Search space of each candidate, unless the spec gives another."""

IF_FEW_ROWS: dict[str, tuple[dict[str, Any], ...]] = {
    "hist_gradient_boosting": ({"learning_rate": 0.06, "max_leaf_nodes": 8}, {"categorical_features": None}),
    "random_forest": ({"min_samples_leaf": 5},),
}
"""Settings that are also tried if there are few rows: small trees, which overfit less.

Trees may group categories in any way, which needs many rows of each, or split them as if they were numbers.
"""


def build_pipeline(
    candidate: str,
    task: TaskKind,
    features: pd.DataFrame,
    seed: int,
    *,
    parameters: Mapping[str, Any] | None = None,
    class_weight: str | None = None,
    prose: Sequence[str] = (),
) -> "Pipeline":
    """Build an unfitted pipeline for a candidate.

    Args:
        candidate: One of `everfit.blocks.training.CANDIDATES`, or `package.module:factory`.
        task: Kind of prediction.
        features: Rows that show the columns' types; shape (rows, features).
        seed: Seed of the estimator.
        parameters: Hyperparameters that override the defaults.
        class_weight: `balanced`, or None.
        prose: Features of free text; other features of text are categories.

    Returns:
        The pipeline.

    Raises:
        DataError: If a feature is neither a number nor text.
        TrainingError: If the factory can't be called, or a hyperparameter is unknown.
    """
    from sklearn.pipeline import Pipeline

    numeric = [str(name) for name in features.columns if pd.api.types.is_numeric_dtype(features[name].dtype)]
    others = [str(name) for name in features.columns if name not in numeric]
    written = [name for name in others if name in prose and features[name].notna().any()]
    texts = [name for name in others if name not in written]
    for name in others:
        if not pd.api.types.is_string_dtype(features[name].dtype):
            raise DataError(
                f"feature {name!r} has the type {features[name].dtype}, which is neither number nor text; "
                f"convert it in the source, or list it under columns.ignore"
            )
    overrides = dict(parameters or {})
    if is_reference(candidate):
        estimator = _call(candidate, overrides)
        if isinstance(estimator, Pipeline):
            return _set(estimator, candidate, seed, None)
        allows_missing = estimator.__sklearn_tags__().input_tags.allow_nan
        columns = _coded_columns(numeric, texts) if allows_missing else _scaled_columns(numeric, texts, dense=True)
        columns = with_texts(columns, written, seed)
        return Pipeline([("columns", columns), ("estimator", _set(estimator, candidate, seed, class_weight))])
    estimator, columns = _BUILDERS[candidate](task, numeric, texts)
    try:
        estimator.set_params(**overrides)
    except ValueError as error:
        raise TrainingError(f"{candidate}: {str(error).splitlines()[0]}") from error
    columns = with_texts(columns, written, seed, sparse=candidate in _LINEAR)
    return Pipeline([("columns", columns), ("estimator", _set(estimator, candidate, seed, class_weight))])


def _call(candidate: str, parameters: Mapping[str, Any]) -> "BaseEstimator":
    try:
        factory = load_extension(DASK_TRAINERS.get(candidate, (candidate,))[0])
    except ExtensionError as error:
        raise TrainingError(f"{candidate}: {error}") from error
    estimator: BaseEstimator = factory(**parameters)
    return estimator


def _set(estimator: "BaseEstimator", candidate: str, seed: int, class_weight: str | None) -> "BaseEstimator":
    """Set the turn's seed and class weights on an estimator that takes them."""
    defaults = estimator.get_params()
    if "random_state" in defaults and defaults["random_state"] is None:
        estimator.set_params(random_state=seed)
    if class_weight is not None:
        if "class_weight" not in defaults:
            raise TrainingError(f"{candidate}: {type(estimator).__name__} has no class_weight; remove it from training")
        estimator.set_params(class_weight=class_weight)
    return estimator


def _coded_columns(numeric: Sequence[str], texts: Sequence[str]) -> "ColumnTransformer":
    """Encode columns for trees: categories come first as numbers, and missing or unknown values stay missing."""
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OrdinalEncoder

    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=float("nan"),
        encoded_missing_value=float("nan"),
        max_categories=MAX_CATEGORIES,
    )
    return ColumnTransformer(
        [("categories", codes, list(texts)), ("numbers", "passthrough", list(numeric))], verbose_feature_names_out=False
    )


def _scaled_columns(numeric: Sequence[str], texts: Sequence[str], *, dense: bool = False) -> "ColumnTransformer":
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
    )
    categories = OneHotEncoder(
        handle_unknown="infrequent_if_exist",
        min_frequency=20,
        max_categories=MAX_CATEGORIES,
        sparse_output=not dense,
    )
    return ColumnTransformer(
        [("numbers", numbers, list(numeric)), ("categories", categories, list(texts))],
        sparse_threshold=0.0 if dense else 0.3,
    )


def _hist_gradient_boosting(
    task: TaskKind, numeric: Sequence[str], texts: Sequence[str]
) -> "tuple[BaseEstimator, ColumnTransformer]":
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    return kind(categorical_features=list(range(len(texts)))), _coded_columns(numeric, texts)


def _random_forest(
    task: TaskKind, numeric: Sequence[str], texts: Sequence[str]
) -> "tuple[BaseEstimator, ColumnTransformer]":
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = RandomForestRegressor if task == "regression" else RandomForestClassifier
    return kind(n_jobs=-1), _coded_columns(numeric, texts)


def _logistic_regression(
    task: TaskKind,  # noqa: ARG001 - every builder has the same parameters
    numeric: Sequence[str],
    texts: Sequence[str],
) -> "tuple[BaseEstimator, ColumnTransformer]":
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000), _scaled_columns(numeric, texts)


def _ridge(
    task: TaskKind,  # noqa: ARG001 - every builder has the same parameters
    numeric: Sequence[str],
    texts: Sequence[str],
) -> "tuple[BaseEstimator, ColumnTransformer]":
    from sklearn.linear_model import Ridge

    return Ridge(), _scaled_columns(numeric, texts)


_BUILDERS: dict[str, Callable[[TaskKind, Sequence[str], Sequence[str]], "tuple[BaseEstimator, ColumnTransformer]"]] = {
    "hist_gradient_boosting": _hist_gradient_boosting,
    "random_forest": _random_forest,
    "logistic_regression": _logistic_regression,
    "ridge": _ridge,
}
