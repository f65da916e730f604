"""Boosters are fitted on all rows by the workers of a Dask scheduler, and are ordinary estimators afterwards."""

import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from support.stack import wait_for
from support.training import a_spec, data_of, rows_of

from everfit.blocks.errors import TrainingError
from everfit.tasks.core.cluster import ADDRESS, RUNNER
from everfit.tasks.data.split import TrainingData
from everfit.tasks.evaluation.conversion import convert
from everfit.tasks.training.in_process import fit_in_memory
from everfit.tasks.training.results import read_model
from everfit.tasks.training.search import Setting
from everfit.tasks.training.train import fit_on

Client = pytest.importorskip("distributed").Client
pytest.importorskip("lightgbm")
pytest.importorskip("xgboost")
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning"
)

LIGHTGBM, XGBOOST = "lightgbm:DaskLGBMClassifier", "xgboost.dask:DaskXGBClassifier"
TRAINS = re.compile("_train_part|do_train|fn-")


@pytest.fixture(autouse=True)
def _on_workers(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUNNER, "dask")
    monkeypatch.setenv(ADDRESS, scheduler)


def made(
    folder: Path, candidate: str, task: str = "binary", rows: int = 4000, trees: int = 20, **parts: object
) -> TrainingData:
    quick = {"n_estimators": trees} | ({"verbose": -1} if "lightgbm" in candidate else {})
    given = {"candidates": [candidate], "parameters": {candidate: quick}}
    return data_of(a_spec(task, training=given, **parts), rows_of(task, rows), folder)


@pytest.mark.parametrize(
    ("candidate", "task"),
    [
        (LIGHTGBM, "binary"),
        (LIGHTGBM, "multiclass"),
        ("lightgbm:DaskLGBMRegressor", "regression"),
        (XGBOOST, "binary"),
        ("xgboost.dask:DaskXGBRegressor", "regression"),
    ],
)
def test_workers_fit_an_ordinary_estimator_the_same_each_time(candidate: str, task: str, tmp_path: Path) -> None:
    data = made(tmp_path, candidate, task)
    whole, later = data.split.training, data.rows(data.split.holdout, "ask about")[data.features]

    models = [fit_in_memory(data, candidate, whole, Setting()) for _ in range(2)]

    assert [type(model.pipeline.steps[-1][1]).__name__.startswith("Dask") for model in models] == [False, False]
    assert {(model.rows, model.workers) for model in models} == {(len(data.training_rows(whole)), 2)}
    ask = (lambda model: model.predict(later)) if task == "regression" else (lambda model: model.predict_proba(later))
    answers = [np.asarray(ask(model.pipeline)) for model in models]
    assert np.ptp(answers[0]) > 0.1
    assert (answers[0] == answers[1]).all()


def test_what_workers_fit_is_kept_converted_and_made_again_like_any_model(tmp_path: Path) -> None:
    pytest.importorskip("onnxmltools")
    data = made(tmp_path, LIGHTGBM, release={"format": "onnx"})
    fitted = fit_on(data, LIGHTGBM, data.split.training, str(tmp_path / "model.skops"))

    assert fitted.workers == 2
    assert type(read_model(fitted, data.workspace).steps[-1][1]).__name__ == "LGBMClassifier"
    assert convert(data, fitted, str(tmp_path / "model.onnx")).evidence.problem == ""


def test_a_class_that_a_worker_has_no_row_of_is_told(tmp_path: Path) -> None:
    rows = rows_of("binary", 400)
    rows["y"] = (rows["id"] == 100).astype(float)
    data = data_of(a_spec(training={"candidates": [LIGHTGBM]}), rows, tmp_path)
    with pytest.raises(TrainingError, match=r"of 2 workers one has no row of 1; use fewer workers"):
        fit_in_memory(data, LIGHTGBM, data.split.training, Setting())


@pytest.mark.parametrize("candidate", [LIGHTGBM, XGBOOST])
def test_a_worker_that_is_killed_in_mid_training_costs_time_alone(
    candidate: str, scheduler: str, tmp_path: Path
) -> None:
    data = made(tmp_path, candidate, trees=1000)
    whole = data.split.training
    with ThreadPoolExecutor(1) as beside:
        killed = beside.submit(kill_one_that_trains, scheduler)
        struck = fit_in_memory(data, candidate, whole, Setting())
        assert killed.result(60) is True

    calm = fit_in_memory(data, candidate, whole, Setting())
    later = data.rows(data.split.holdout, "ask about")[data.features]
    assert (struck.rows, struck.workers) == (calm.rows, 2)
    assert (struck.pipeline.predict_proba(later) == calm.pipeline.predict_proba(later)).all()


def kill_one_that_trains(scheduler: str) -> bool:
    """End a worker by SIGKILL once both train."""
    with Client(scheduler) as client:
        processes = client.run(os.getpid)
        wait_for(lambda: len(training(client)) == len(processes), 60)
        os.kill(processes[training(client)[0]], signal.SIGKILL)
    return True


def training(client: Client) -> list[str]:
    """The workers that train."""
    return [at for at, keys in client.processing().items() if any(TRAINS.match(key) for key in keys)]
