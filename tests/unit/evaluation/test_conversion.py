"""Converted models: which estimators can be, when they are taken, and what is said of those that are not."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from support.training import a_spec, data_of, rows_of

from everfit.blocks.errors import ModelError
from everfit.tasks.evaluation.conversion import Conversion, convert
from everfit.tasks.models.onnx_conversion import ConversionError, to_onnx
from everfit.tasks.models.onnx_model import OnnxClassifier, read_onnx
from everfit.tasks.training.pipelines import build_pipeline
from everfit.tasks.training.results import read_model
from everfit.tasks.training.train import fit_on

pytest.importorskip("skl2onnx")

NUMBERS = ["x", "noise"]
FEATURES = [*NUMBERS, "color"]
CONVERTIBLE = {
    ("logistic_regression", "binary"): FEATURES,
    ("logistic_regression", "multiclass"): FEATURES,
    ("ridge", "regression"): FEATURES,
    ("random_forest", "binary"): FEATURES,
    ("random_forest", "multiclass"): FEATURES,
    ("random_forest", "regression"): FEATURES,
    ("hist_gradient_boosting", "binary"): NUMBERS,
    ("hist_gradient_boosting", "multiclass"): NUMBERS,
    ("hist_gradient_boosting", "regression"): NUMBERS,
}
"""What can be converted, and with which kinds of columns: as docs/serving.md lists it."""


def fitted(candidate: str, task: Any, rows: pd.DataFrame, features: list[str], **given: Any) -> Any:
    target = rows["y"] if task == "regression" else rows["y"].astype("str" if task == "multiclass" else "int64")
    parameters = given | ({"n_estimators": 20} if candidate == "random_forest" else {})
    return build_pipeline(candidate, task, rows[features], 0, parameters=parameters).fit(rows[features], target)


@pytest.mark.slow
@pytest.mark.parametrize(("candidate", "task"), CONVERTIBLE)
def test_a_converted_model_answers_as_the_fitted_one(candidate: str, task: Any) -> None:
    features = CONVERTIBLE[candidate, task]
    rows, later = rows_of(task, rows=600), rows_of(task, rows=300, seed=1)
    later.loc[::7, "color"] = "violet"  # which nobody has seen
    model = fitted(candidate, task, rows, features)

    converted: Any = read_onnx(to_onnx(model, rows[features]))

    assert list(converted.feature_names_in_) == features
    if task == "regression":
        np.testing.assert_allclose(converted.predict(later), model.predict(later[features]), atol=1e-4)
        assert not hasattr(converted, "predict_proba")
        return
    assert converted.classes_.tolist() == model.classes_.tolist()
    said = converted.predict_proba(later)
    np.testing.assert_allclose(said, model.predict_proba(later[features]), atol=1e-5)
    clear = np.sort(said)[:, -1] - np.sort(said)[:, -2] > 1e-5  # of two classes as probable, either may be answered
    assert (converted.predict(later) == model.predict(later[features]))[clear].all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("candidate", "features", "given"),
    [
        ("hist_gradient_boosting", NUMBERS, {}),
        ("hist_gradient_boosting", FEATURES, {"categorical_features": None}),  # texts as codes
        ("random_forest", FEATURES, {}),
    ],
)
def test_missing_values_go_the_same_way(candidate: str, features: list[str], given: dict[str, Any]) -> None:
    rows, later = rows_of(rows=600), rows_of(rows=300, seed=1)
    rows.loc[::5, "x"] = later.loc[::4, "x"] = np.nan
    rows.loc[::7, "color"] = later.loc[::3, "color"] = None
    model = fitted(candidate, "binary", rows, features, **given)

    converted = read_onnx(to_onnx(model, rows[features]))

    assert isinstance(converted, OnnxClassifier)
    np.testing.assert_allclose(converted.predict_proba(later), model.predict_proba(later[features]), atol=1e-5)


def test_a_missing_category_is_one_for_a_linear_model_too() -> None:
    rows, later = rows_of(rows=600), rows_of(rows=300, seed=1)
    rows.loc[::7, "color"] = later.loc[::3, "color"] = None
    model = fitted("logistic_regression", "binary", rows, FEATURES)

    converted: Any = read_onnx(to_onnx(model, rows[FEATURES]))

    np.testing.assert_allclose(converted.predict_proba(later), model.predict_proba(later[FEATURES]), atol=1e-5)


@pytest.mark.parametrize("candidate", ["logistic_regression", "hist_gradient_boosting"])
def test_columns_may_have_any_name(candidate: str) -> None:
    names = dict(zip(FEATURES, ["probabilities", "mean radius (mm)", "Größe/label"], strict=True))
    if candidate == "hist_gradient_boosting":
        del names["color"]
    rows, later = (rows_of(rows=count).rename(columns=names) for count in (600, 300))
    model = fitted(candidate, "binary", rows, [*names.values()])

    converted: Any = read_onnx(to_onnx(model, rows[[*names.values()]]))

    assert [*converted.feature_names_in_] == [*names.values()]
    np.testing.assert_allclose(converted.predict_proba(later), model.predict_proba(later[[*names.values()]]), atol=1e-5)


def test_splits_on_categories_are_refused_in_words() -> None:
    rows = rows_of(rows=300)
    model = fitted("hist_gradient_boosting", "binary", rows, FEATURES)
    with pytest.raises(ConversionError, match="HistGradientBoostingClassifier splits on categories"):
        to_onnx(model, rows[FEATURES])


def converted(folder: Path, rows: pd.DataFrame, candidate: str, **release: Any) -> tuple[Conversion, Any, Any]:
    """What came of converting a candidate that was fitted on rows."""
    training = {"candidates": [candidate], "calibration": release.pop("calibration", "none")}
    spec = a_spec(
        training=training,
        columns={"ignore": release.pop("ignore", [])},
        release={"format": "onnx", "conversion": release},
    )
    data = data_of(spec, rows, folder)
    model = fit_on(data, candidate, data.split.training, str(folder / "model.skops"))
    return convert(data, model, str(folder / "model.onnx")), data, model


@pytest.mark.slow
@pytest.mark.parametrize("calibration", ["none", "sigmoid"])
def test_what_answers_the_same_is_kept_beside_the_fitted_model(calibration: str, tmp_path: Path) -> None:
    made, data, model = converted(tmp_path, rows_of(), "logistic_regression", calibration=calibration)

    assert made.evidence.accepted
    assert made.path == str(tmp_path / "model.onnx")
    assert made.evidence.difference is not None
    assert made.evidence.loss is not None
    assert 0 < made.evidence.difference < 1e-5
    assert abs(made.evidence.loss) < 1e-5
    held_out = data.rows(data.split.holdout, "ask about")
    assert made.evidence.rows == len(held_out)
    served = read_onnx(data.workspace.read(made.path)).predict(held_out)
    assert (served == read_model(model, data.workspace).predict(held_out[list(model.features)])).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("candidate", "changes", "words"),
    [
        ("logistic_regression", {"tolerance": 0}, "predictions differ by up to .* in probability, and at most 0"),
        ("hist_gradient_boosting", {}, "splits on categories, but trees in ONNX split on numbers alone"),
        ("logistic_regression", {"missing": True}, "adds missing indicators, which skl2onnx can't convert"),
        ("logistic_regression", {"rare": True}, "maps unseen categories to the rare ones"),
    ],
)
def test_what_comes_out_otherwise_is_not_taken_and_says_why(
    candidate: str, changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    rows = rows_of()
    if changes.pop("missing", False):
        rows.loc[::5, "x"] = np.nan
    if changes.pop("rare", False):
        rows.loc[::100, "color"] = "violet"
    made, _, _ = converted(tmp_path, rows, candidate, **changes)

    assert (made.evidence.accepted, made.path) == (False, None)
    assert re.search(words, made.evidence.problem), made.evidence.problem
    assert not (tmp_path / "model.onnx").exists()


@pytest.mark.slow
def test_a_loss_beyond_what_is_allowed_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnnxClassifier, "predict_proba", lambda self, rows: np.full((len(rows), 2), 0.5))
    made, _, _ = converted(tmp_path, rows_of(), "logistic_regression", tolerance=1)
    assert "roc_auc loses" in made.evidence.problem


def test_a_file_that_is_no_model_is_refused() -> None:
    with pytest.raises(ModelError, match="the ONNX model can't be read"):
        read_onnx(b"no model")


def test_a_gate_that_asks_for_a_conversion_that_nobody_makes_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"gate.conversion: the format 'skops' needs no conversion"):
        a_spec(gate={"conversion": True})
