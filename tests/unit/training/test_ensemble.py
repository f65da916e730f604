"""An ensemble answers with the mean of its members, however they were fitted, and as fast as they do."""

from pathlib import Path

import numpy as np
import pytest
from support.condensing import is_same, restored_from_bytes
from support.training import a_spec, data_of, rows_of

from everfit.blocks.errors import SpecError
from everfit.blocks.training import TrainingPolicy
from everfit.tasks.core.spec_loading import read_spec
from everfit.tasks.models.input_schema import InputSchema
from everfit.tasks.scoring.fast_path.answering import ByEncoding, ByLinearModel, ByMean
from everfit.tasks.scoring.scorer import Scorer
from everfit.tasks.statistics.scores import class_list, model_scores
from everfit.tasks.training import fitting
from everfit.tasks.training.competition import Competition
from everfit.tasks.training.ensemble import ORDERED_BOOSTING, members_of
from everfit.tasks.training.results import Choice, read_model
from everfit.tasks.training.search import Setting
from everfit.tasks.training.train import fit_on, try_candidate

LINEAR = {"binary": "logistic_regression", "multiclass": "logistic_regression", "regression": "ridge"}
QUICK = {"hist_gradient_boosting": {"max_iter": 5}}
WEIGHTS = {"half_life": "20d", "class_weight": "balanced"}


@pytest.mark.slow
@pytest.mark.parametrize("task", sorted(LINEAR))
def test_an_ensemble_answers_with_the_mean_of_its_members(task: str, tmp_path: Path) -> None:
    weights = WEIGHTS if task != "regression" else {"half_life": "20d"}
    names = ("hist_gradient_boosting", LINEAR[task])
    spec = a_spec(task, training={"candidates": [*names, "ensemble"], "parameters": QUICK, **weights})
    rows = rows_of(task)
    data = data_of(spec, rows, tmp_path)
    model = read_model(fit_on(data, "ensemble", data.split.training, str(tmp_path / "e")), data.workspace)
    ordered = Setting(parameters={"categorical_features": None})
    alone = [
        read_model(fit_on(data, name, data.split.training, str(tmp_path / "alone"), setting), data.workspace)
        for name, setting in ((names[0], None), (names[0], ordered), (names[1], None))
    ]
    classes = class_list(rows["y"], spec.task)

    scores = model_scores(model, rows[data.features], classes, spec.task)
    mean = np.mean([model_scores(each, rows[data.features], classes, spec.task) for each in alone], axis=0)
    assert tuple(members_of(model)) == (names[0], ORDERED_BOOSTING, names[1])
    assert np.allclose(scores, mean, rtol=1e-12)
    if task == "multiclass":
        assert set(model.predict(rows[data.features])) <= {"cold", "mild", "warm"}


@pytest.mark.slow
@pytest.mark.parametrize("task", sorted(LINEAR))
def test_members_that_were_tried_are_not_fitted_again(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boosting, linear = "hist_gradient_boosting", LINEAR[task]
    spec = a_spec(task, training={"candidates": [boosting, linear, "ensemble"], "parameters": QUICK})
    rows = rows_of(task, rows=400)
    alone = try_candidate(data_of(spec, rows, tmp_path / "alone"), "ensemble")

    data, fitted = data_of(spec, rows, tmp_path / "after"), list[str]()
    build = fitting.build_pipeline

    def counted(candidate: str, *given: object, **named: object) -> object:
        fitted.append(candidate)
        return build(candidate, *given, **named)

    monkeypatch.setattr(fitting, "build_pipeline", counted)
    for name in (boosting, linear):
        try_candidate(data, name)
    before = len(fitted)
    after = try_candidate(data, "ensemble")
    assert before > 0
    assert fitted[before:] == []
    assert after.tries[0].folds == alone.tries[0].folds


@pytest.mark.slow
@pytest.mark.parametrize("task", sorted(LINEAR))
def test_the_service_takes_the_fast_path_of_each_member(task: str, tmp_path: Path) -> None:
    spec = a_spec(task, training={"candidates": [], "parameters": QUICK})
    rows = rows_of(task, rows=400)
    data = data_of(spec, rows, tmp_path)
    model = read_model(fit_on(data, "ensemble", data.split.training, str(tmp_path / "e")), data.workspace)
    features = rows[data.features]
    scorer = Scorer(model, InputSchema.of_frame(features, task=spec.task, features=data.features))
    columns = {str(name): features[name].tolist() for name in features}

    fast, slow = scorer.score_columns(columns), scorer.score(features)
    if task == "regression":
        assert np.allclose(fast.values, slow.values, rtol=1e-9)
    else:
        assert fast.probabilities is not None
        assert np.allclose(fast.probabilities, slow.probabilities, rtol=1e-9)
        assert fast.values.tolist() == slow.values.tolist()
    assert isinstance(scorer.answering, ByMean)
    assert is_same(restored_from_bytes(scorer.answering).scores(columns), fast)
    assert [type(member) for member in scorer.answering.members] == [ByEncoding, ByEncoding, ByLinearModel]


@pytest.mark.slow
@pytest.mark.parametrize("without", ["categories", "groups of them"])
def test_boosting_is_a_member_once_where_it_has_nothing_to_order(without: str, tmp_path: Path) -> None:
    columns = {"ignore": ["color", "group"]} if without == "categories" else {}
    asked = {**QUICK["hist_gradient_boosting"]} if columns else {"max_iter": 5, "categorical_features": None}
    spec = a_spec(columns=columns, training={"candidates": [], "parameters": {"hist_gradient_boosting": asked}})
    data = data_of(spec, rows_of(), tmp_path)

    model = read_model(fit_on(data, "ensemble", data.split.training, str(tmp_path / "e")), data.workspace)
    assert tuple(members_of(model)) == ("hist_gradient_boosting", "logistic_regression")


@pytest.mark.slow
@pytest.mark.parametrize("calibration", ["none", "sigmoid"])
def test_a_calibrated_ensemble_has_both_kinds_of_boosting(calibration: str, tmp_path: Path) -> None:
    spec = a_spec(training={"candidates": [], "parameters": QUICK, "calibration": calibration})
    data = data_of(spec, rows_of(), tmp_path)

    model = read_model(fit_on(data, "ensemble", data.split.training, str(tmp_path / "e")), data.workspace)
    assert ORDERED_BOOSTING in members_of(model)


def test_members_are_not_fitted_once_more_beside_their_ensemble(tmp_path: Path) -> None:
    names = ("hist_gradient_boosting", "logistic_regression")
    spec = a_spec(training={"candidates": [*names, "ensemble"], "parameters": QUICK})
    data = data_of(spec, rows_of(), tmp_path)
    procedures = [Choice(candidate=name) for name in (*names, "ensemble")]
    competition = Competition(data, procedures, str(tmp_path / "scratch"))

    competition.fit(data.split.training.until)
    assert competition.fits == 1


def test_an_ensemble_averages_the_listed_candidates_or_the_usual_two() -> None:
    listed = TrainingPolicy(candidates=("random_forest", "ensemble", "logistic_regression", "my.models:forest"))
    assert listed.members_for("binary") == ("random_forest", "logistic_regression")
    assert TrainingPolicy(candidates=("ensemble",)).members_for("regression") == ("hist_gradient_boosting", "ridge")


def test_parameters_of_an_ensemble_are_those_of_its_members() -> None:
    with pytest.raises(SpecError, match="an ensemble has no parameters of its own; give those of its members"):
        read_spec(
            "{name: m, task: binary, source: {kind: files, path: x}, columns: {key: [id], event_time: at, target: y}, "
            "training: {parameters: {ensemble: {max_iter: 3}}}}",
            "spec",
        )
