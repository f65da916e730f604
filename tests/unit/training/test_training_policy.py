"""What a spec says of training is refused where it can't be done, with what is allowed."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from support.training import a_spec, data_of, rows_of

from everfit.blocks.value import ValuePolicy
from everfit.tasks.core.cluster import RUNNER
from everfit.tasks.training.train import try_candidate
from everfit.tasks.training.worker_fit import no_workers


@pytest.mark.parametrize(
    ("training", "task", "told"),
    [
        ({"window": "best"}, "binary", "give two or more spans with `best`"),
        ({"window": "best", "windows": ["all", "all"]}, "binary", "occurs twice"),
        ({"windows": ["all", "30d"]}, "binary", "and none otherwise"),
        ({"window": "best", "windows": ["all", "7d"]}, "binary", "leaves no training rows in a window of '7d'"),
        ({"holdout": "0d"}, "binary", "above 0s|empty or negative"),
        ({"time_limit": "0s"}, "binary", "above 0s|empty or negative"),
        ({"candidates": ["ridge"]}, "binary", "can't be used for a binary model"),
        ({"candidates": ["ridge", "ensemble", "ridge"]}, "regression", "candidates.2: 'ridge' is there twice"),
        ({"candidates": ["no such thing"]}, "binary", "or package.module:factory"),
        ({"parameters": {"ridge": {"alpha": 1}}}, "binary", "is not a candidate"),
        ({"search": {"spaces": {"ridge": {"alpha": {"low": 1, "high": 2}}}}}, "binary", "is not a candidate"),
        ({"class_weight": "balanced"}, "regression", "has no classes"),
        ({"calibration": "isotonic"}, "regression", "has no classes"),
        ({"business_value": {"true_positive": 1}}, "multiclass", "give a function"),
        ({"business_value": {}}, "binary", "every outcome has the value 0"),
        ({"business_value": {"function": "m:f", "true_positive": 1}}, "binary", "replaces the four outcomes"),
        ({"metric": "rmse"}, "binary", "is not a metric of"),
        ({"search": {"trials": 0}}, "binary", "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_is_refused(training: dict[str, Any], task: str, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        a_spec(task, training=training)


def test_a_factory_is_a_candidate_and_defaults_suit_the_task() -> None:
    named = a_spec(training={"candidates": ["lightgbm:LGBMClassifier", "random_forest"]})
    assert named.training.candidates_for("binary") == ("lightgbm:LGBMClassifier", "random_forest")
    assert a_spec("regression", training={"candidates": []}).training.candidates_for("regression") == (
        "hist_gradient_boosting",
        "ridge",
        "ensemble",
    )
    assert ValuePolicy(function="mine:worth").function == "mine:worth"


def test_the_widest_window_holds_the_others() -> None:
    best = a_spec(training={"window": "best", "windows": ["30d", "60d"]}).training
    assert best.widest.days == 60
    assert a_spec(training={"window": "best", "windows": ["30d", "all"]}).training.widest is None
    assert type(best).model_validate_json(best.model_dump_json()) == best


def test_a_dask_trainer_suits_its_task_and_rows_with_times() -> None:
    trainer = "xgboost.dask:DaskXGBClassifier"
    assert a_spec(training={"candidates": [trainer]}).training.candidates == (trainer,)
    with pytest.raises(
        ValueError, match=r"training.candidates.0: .* can't be used for a regression model; use .*DaskXGBRegressor"
    ):
        a_spec("regression", training={"candidates": [trainer]})
    with pytest.raises(ValueError, match=r"columns.event_time is not set; set it, or use 'xgboost:XGBClassifier'"):
        a_spec(columns={"event_time": None, "label_time": None}, training={"candidates": [trainer]})
    with pytest.raises(ValueError, match=r"training.fresh_labels: .* see mature labels alone"):
        a_spec(maturity="2d", training={"candidates": [trainer], "fresh_labels": "weighted"})


def test_a_dask_trainer_without_dask_is_told_before_anything_is_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(RUNNER, raising=False)
    trainer = "lightgbm:DaskLGBMClassifier"
    data = data_of(a_spec(training={"candidates": [trainer]}), rows_of(rows=100), tmp_path)
    told = try_candidate(data, trainer)
    assert (told.score, told.error) == (
        None,
        "it is fitted by the workers of a Dask scheduler: set EVERFIT_TASK_RUNNER=dask, or use lightgbm:LGBMClassifier",
    )
    assert no_workers("lightgbm:LGBMClassifier") == ""
