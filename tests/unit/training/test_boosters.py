"""LightGBM and XGBoost as candidates, where they are installed: tried, fitted, kept, loaded and converted."""

from pathlib import Path

import numpy as np
import pytest
from support.training import a_spec, data_of, rows_of

from everfit.tasks.evaluation.conversion import convert
from everfit.tasks.training.results import read_model
from everfit.tasks.training.train import fit_on, try_candidate


@pytest.mark.parametrize(
    ("candidate", "task"),
    [
        ("lightgbm:LGBMClassifier", "binary"),
        ("lightgbm:LGBMClassifier", "multiclass"),
        ("lightgbm:LGBMRegressor", "regression"),
        ("xgboost:XGBClassifier", "binary"),
        ("xgboost:XGBRegressor", "regression"),
    ],
)
def test_a_booster_is_a_candidate_like_any_other(candidate: str, task: str, tmp_path: Path) -> None:
    pytest.importorskip(candidate.partition(":")[0])
    parameters = {"n_estimators": 30, "n_jobs": 1} | ({"verbose": -1} if "lightgbm" in candidate else {})
    spec = a_spec(
        task,
        training={"candidates": [candidate], "parameters": {candidate: parameters}},
        release={"format": "onnx"},
    )
    data = data_of(spec, rows_of(task), tmp_path)

    trial = try_candidate(data, candidate)
    fitted = fit_on(data, candidate, data.split.training, str(tmp_path / "model.skops"), trial.setting)

    assert trial.error == ""
    assert trial.score is not None
    assert trial.score > 0.75 if task == "binary" else trial.score < 1.3
    model = read_model(fitted, data.workspace)
    held_out = data.rows(data.split.holdout, "ask about")[list(fitted.features)]
    again = read_model(fitted, data.workspace)
    assert (np.asarray(model.predict(held_out)) == np.asarray(again.predict(held_out))).all()
    pytest.importorskip("onnxmltools")
    assert convert(data, fitted, str(tmp_path / "model.onnx")).evidence.problem == ""
