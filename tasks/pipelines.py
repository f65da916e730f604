"""The candidates: scikit-learn pipelines that carry their own preprocessing, so that it ships inside the model."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from everfit.blocks.errors import DataError
from everfit.blocks.metrics import TaskKind

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

MAX_CATEGORIES = 200
"""Categories of a column that are told apart; the rarer ones are taken together."""


def build_pipeline(candidate: str, task: TaskKind, features: pd.DataFrame, seed: int) -> "Pipeline":
    """An unfitted pipeline for a candidate.

    Args:
        candidate: One of `everfit.blocks.training.CANDIDATES`.
        task: What is predicted.
        features: Rows that tell the columns' kinds; shape (rows, features).
        seed: Of the estimator.

    Raises:
        DataError: a feature is neither a number nor text.
    """
    numeric = [str(name) for name in features.columns if pd.api.types.is_numeric_dtype(features[name].dtype)]
    texts = [str(name) for name in features.columns if name not in numeric]
    for name in texts:
        if not pd.api.types.is_string_dtype(features[name].dtype):
            raise DataError(
                f"feature {name!r} is a {features[name].dtype}, neither number nor text; "
                f"make features of it in the source, or put it under columns.ignore"
            )
    return _BUILDERS[candidate](task, numeric, texts, seed)


def _hist_gradient_boosting(task: TaskKind, numeric: Sequence[str], texts: Sequence[str], seed: int) -> "Pipeline":
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    # It has its own way with missing values; an unknown category is to it a missing one.
    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=float("nan"),
        encoded_missing_value=float("nan"),
        max_categories=MAX_CATEGORIES,
    )
    columns = ColumnTransformer(
        [("categories", codes, list(texts)), ("numbers", "passthrough", list(numeric))], verbose_feature_names_out=False
    )
    # The encoder's columns come first.
    settings = {"categorical_features": list(range(len(texts))), "random_state": seed}
    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    return Pipeline([("columns", columns), ("estimator", kind(**settings))])


def _linear(estimator: "BaseEstimator", numeric: Sequence[str], texts: Sequence[str]) -> "Pipeline":
    from sklearn.pipeline import Pipeline

    return Pipeline([("columns", _scaled_columns(numeric, texts)), ("estimator", estimator)])


def _scaled_columns(numeric: Sequence[str], texts: Sequence[str]) -> "ColumnTransformer":
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), StandardScaler()
    )
    categories = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20, max_categories=MAX_CATEGORIES)
    return ColumnTransformer([("numbers", numbers, list(numeric)), ("categories", categories, list(texts))])


def _logistic_regression(task: TaskKind, numeric: Sequence[str], texts: Sequence[str], seed: int) -> "Pipeline":  # noqa: ARG001
    from sklearn.linear_model import LogisticRegression

    return _linear(LogisticRegression(max_iter=1000, random_state=seed), numeric, texts)


def _ridge(task: TaskKind, numeric: Sequence[str], texts: Sequence[str], seed: int) -> "Pipeline":  # noqa: ARG001
    from sklearn.linear_model import Ridge

    return _linear(Ridge(random_state=seed), numeric, texts)


_BUILDERS: dict[str, Callable[[TaskKind, Sequence[str], Sequence[str], int], "Pipeline"]] = {
    "hist_gradient_boosting": _hist_gradient_boosting,
    "logistic_regression": _logistic_regression,
    "ridge": _ridge,
}
