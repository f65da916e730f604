"""The short way gives exactly what the pipeline gives, or isn't taken."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.scoring.fast_path.answering import ByEncoding, ByPipeline
from everfit.tasks.scoring.fast_path.ordinal import FastOrdinalEncoding
from everfit.tasks.scoring.scorer import Scorer

FEATURES = ["size", "city", "count", "sunny", "street"]


def rows(seed: int = 0, count: int = 300) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    streets = [f"street {number}" for number in random.integers(0, 40, count)]
    return pd.DataFrame(
        {
            "size": np.where(random.random(count) < 0.1, np.nan, random.normal(size=count)),
            "city": pd.array([None if one == "X" else one for one in random.choice(list("ABX"), count)], dtype="str"),
            "count": random.integers(0, 9, count),
            "sunny": random.random(count) < 0.5,
            "street": pd.array(streets, dtype="str"),
        }
    )


def scorer(encoder: Any, estimator: Any, remainder: Any = "passthrough") -> Scorer:
    data = rows()
    columns = ColumnTransformer([("codes", encoder, ["street", "city"])], remainder=remainder)
    model = Pipeline([("columns", columns), ("estimator", estimator)]).fit(data, data["count"] > 4)
    return Scorer(model, InputSchema.of_frame(data, task="binary", features=FEATURES))


def ordinal(**settings: Any) -> OrdinalEncoder:
    unknown = {"handle_unknown": "use_encoded_value", "unknown_value": np.nan}
    return OrdinalEncoder(**{**unknown, **settings})


def columns_of(frame: pd.DataFrame) -> dict[str, list[Any]]:
    return {name: [None if pd.isna(one) else one for one in frame[name].tolist()] for name in frame}


@pytest.mark.parametrize("settings", [{}, {"max_categories": 5}, {"encoded_missing_value": -1}, {"unknown_value": -2}])
def test_gives_what_the_pipeline_gives(settings: dict[str, Any]) -> None:
    one = scorer(ordinal(**settings), HistGradientBoostingClassifier(max_iter=5))
    data = rows(seed=1)
    data.loc[:20, "street"] = "a street that is new"

    assert isinstance(one.answering, ByEncoding)
    expected, results = one.score(data), one.score_columns(columns_of(data))
    assert expected.probabilities is not None
    assert results.probabilities is not None
    assert (results.probabilities == expected.probabilities).all()
    assert (results.values == expected.values).all()


@pytest.mark.parametrize(
    ("encoder", "remainder"),
    [(OneHotEncoder(), "passthrough"), (ordinal(), StandardScaler()), (OrdinalEncoder(), "drop")],
)
def test_another_pipeline_goes_the_long_way(encoder: Any, remainder: Any) -> None:
    imputed = HistGradientBoostingClassifier(max_iter=2)
    if isinstance(encoder, OneHotEncoder):
        encoder.set_params(sparse_output=False)
    one = scorer(encoder, imputed, remainder)

    assert isinstance(one.answering, ByPipeline)
    assert len(one.score_columns(columns_of(rows())).values) == 300


def test_a_bare_estimator_has_no_short_way() -> None:
    data = rows()[["count", "sunny"]]
    inputs = InputSchema.of_frame(data, task="binary", features=["count", "sunny"])
    assert FastOrdinalEncoding.of(LogisticRegression().fit(data, data["sunny"]), inputs) is None
