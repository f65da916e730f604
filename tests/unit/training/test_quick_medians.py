"""Medians by column give the model of a plain fit, to the last bit, and leave nothing of everfit in it."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from support.training import a_spec, rows_of

from everfit.tasks.models.skops_format import dump_model, load_model
from everfit.tasks.training import pipelines
from everfit.tasks.training.fitting import fit
from everfit.tasks.training.pipelines import build_pipeline
from everfit.tasks.training.quick_medians import medians_by_column
from everfit.tasks.training.search import Setting


@pytest.mark.parametrize("rows", [301, 300])
def test_a_fit_by_columns_is_a_plain_fit(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = rows_of(rows=rows)
    frame.loc[::7, "x"] = np.nan
    frame["empty"], frame["few"] = np.nan, np.where(np.arange(rows) < 2, frame["noise"], np.nan)
    features, target = frame[["x", "noise", "color", "empty", "few"]], frame["y"]
    plain = build_pipeline("logistic_regression", "binary", features, 0)
    quick = clone(plain)
    plain.fit(features, target)
    monkeypatch.setattr(np.ma, "median", lambda *_args, **_given: pytest.fail("all columns at once"))
    with medians_by_column(quick):
        quick.fit(features, target)
    assert repr(quick) == repr(plain)
    statistics = [each.named_steps["columns"].named_transformers_["numbers"][0].statistics_ for each in (quick, plain)]
    assert np.array_equal(*statistics)
    read = load_model(dump_model(quick))  # it refuses what is not scikit-learn's
    assert np.array_equal(read.predict_proba(features), plain.predict_proba(features))
    assert np.array_equal(quick.predict_proba(features), plain.predict_proba(features))


def test_an_imputer_of_ones_own_stays_as_it_is() -> None:
    own = SimpleImputer(strategy="median")  # columns without values are dropped, which only a plain fit knows
    with medians_by_column(own):
        assert own.strategy == "median"
    with medians_by_column(own):
        own.fit(pd.DataFrame({"a": [1.0, 3.0], "b": [np.nan, np.nan]}))
    assert own.statistics_[0] == 2.0
    assert np.isnan(own.statistics_[1])


def test_a_pipeline_of_ones_own_is_fitted_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    own = Pipeline(
        [("sparse", FunctionTransformer(sparse.csc_array)), ("known", imputer), ("model", LogisticRegression())]
    )
    monkeypatch.setattr(pipelines, "load_extension", lambda _: lambda: own)
    rows = rows_of(rows=300).assign(x=lambda frame: frame["x"].where(frame["x"] > 0.5, 0.0))
    rows.loc[::7, "x"] = np.nan

    fit(a_spec(), ["x", "noise"], "own:pipeline", Setting(), rows)

    assert imputer.statistics_[0] == 0  # a sparse table leaves its zeros out, which only a plain fit counts
