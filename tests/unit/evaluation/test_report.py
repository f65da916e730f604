"""The evidence that a version carries: what is important, how sure the metrics are, and what could not be measured."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.training import UNTIL, a_spec, data_of, rows_of

from everfit.blocks.spec import ARRIVED
from everfit.tasks.core.records import Window
from everfit.tasks.evaluation.class_changes import class_changes
from everfit.tasks.evaluation.explanations import permutation_importance, shap_values
from everfit.tasks.evaluation.model_card import model_card
from everfit.tasks.evaluation.plots import png_plots, report_page
from everfit.tasks.evaluation.report import Report, make_report
from everfit.tasks.evaluation.robustness import robustness
from everfit.tasks.evaluation.scored_rows import ScoredRows, score_rows
from everfit.tasks.gate import GateDecision
from everfit.tasks.training.fitting import fit
from everfit.tasks.training.search import Setting
from everfit.tasks.training.train import fit_on

FEATURES = ["x", "noise", "color"]
DECISION = GateDecision(
    id="d", verdict="promote", reasons=("it is better",), checks=(), risk="low", evidence_digest="", policy_digest=""
)


def judged_of(task: str, candidate: str, features: list[str] | None = None) -> ScoredRows:
    quick = {"hist_gradient_boosting": {"max_iter": 20}, "random_forest": {"n_estimators": 10, "max_depth": 5}}
    spec, rows = a_spec(task, training={"candidates": [candidate]}), rows_of(task, 600)
    setting = Setting(parameters=quick.get(candidate, {}))
    return score_rows(spec, rows, {"challenger": fit(spec, features or FEATURES, candidate, setting, rows)})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "candidate", "features", "method"),
    [
        ("binary", "logistic_regression", FEATURES, "linear"),
        ("multiclass", "logistic_regression", FEATURES, "linear"),
        ("regression", "ridge", FEATURES, "linear"),
        ("regression", "random_forest", FEATURES, "tree"),
        ("binary", "hist_gradient_boosting", ["x", "noise"], "tree"),
        ("binary", "hist_gradient_boosting", FEATURES, "sampled"),
        ("multiclass", "hist_gradient_boosting", FEATURES, "sampled"),
        ("binary", "ensemble", FEATURES, "sampled"),
    ],
)
def test_shap_values_name_what_the_label_hangs_on(task: str, candidate: str, features: list[str], method: str) -> None:
    result = shap_values(judged_of(task, candidate, features), 0)
    assert result.method == method
    assert next(iter(result.mean_absolute)) == "x"
    assert list(result.mean_absolute)[-1] == "noise"
    assert result.rows == 150
    assert len(result.worst) == 5
    assert all(item.shap for item in result.worst)


def test_sampled_values_add_up_to_the_answer() -> None:
    judged = judged_of("binary", "hist_gradient_boosting")
    result = shap_values(judged, 0)
    worst = result.worst[0]
    assert worst.answer == judged.scores["challenger"][worst.row]
    assert abs(sum(worst.shap.values())) == pytest.approx(
        abs(worst.answer - judged.scores["challenger"].mean()), abs=0.2
    )


def test_importance_and_robustness_agree_on_what_matters() -> None:
    judged = judged_of("binary", "logistic_regression")
    importance = permutation_importance(judged, "roc_auc", 0)
    assert next(iter(importance)) == "x"
    assert abs(importance["noise"]) < 0.01 < importance["color"] < importance["x"]
    assert permutation_importance(judged, "roc_auc", 0) == importance
    result = robustness(judged, 0)
    flips = {feature.feature: feature for feature in result.features}
    assert flips["x"].noise < 0.1 < flips["x"].missing
    assert flips["noise"].missing < 0.05
    assert flips["color"].noise is None
    assert flips["x"].missing < flips["x"].adversarial <= result.adversarial


def test_a_model_that_refuses_missing_values_is_asked_one_by_one() -> None:
    judged = judged_of("binary", "logistic_regression")
    model = judged.models["challenger"]

    class Strict:
        feature_names_in_, classes_ = model.feature_names_in_, model.classes_

        def predict_proba(self, rows: object) -> object:
            if rows.isna().any().any():  # type: ignore[attr-defined]
                raise ValueError("missing")
            return model.predict_proba(rows)

    strict = ScoredRows("binary", judged.rows, judged.truth, judged.scores, judged.classes, {"challenger": Strict()})
    flips = {feature.feature: feature for feature in robustness(strict, 0).features}
    assert flips["x"].missing is None
    assert flips["x"].noise is not None


@pytest.mark.slow
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_report_says_how_good_and_where_not(task: str, tmp_path: Path) -> None:
    spec = a_spec(task, columns={"protected": ["group"]})
    data = data_of(spec, rows_of(task), tmp_path)
    path = data.workspace.turn_file("small", "t", "challenger.skops")
    challenger = fit_on(data, spec.training.candidates[0], data.split.training, path)
    report, judged = make_report(data, challenger, data.split.holdout, None)

    assert report.left_out == {}
    assert report.metrics[0].metric == spec.metric
    assert all(metric.lower <= metric.value <= metric.upper for metric in report.metrics)
    assert report.fit.startswith("neither over- nor underfit")
    assert sum(part.rows for part in report.over_time) == report.rows == sum(metric.rows for metric in report.groups)
    assert bool(report.fairness) == (task != "regression")
    assert report == make_report(data, challenger, data.split.holdout, None)[0]
    assert type(report).model_validate_json(report.canonical_json()) == report
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pictures = png_plots(report, judged)
        page = report_page(report, judged)
    assert all(content.startswith(b"\x89PNG") for content in pictures.values())
    assert ("roc.png" in pictures) == (task == "binary")
    assert "plotly" in page
    assert ("Residuals" in page) == (task == "regression") != ("Answers by true class" in page)
    card = model_card(report, DECISION, "t")
    assert "group = a" in card
    assert ("demographic parity" in card) == (task != "regression")
    assert f"Over time, {spec.metric}" in card


@pytest.mark.slow
def test_rows_without_times_have_no_course_of_time_and_the_card_tells_how_they_were_drawn(tmp_path: Path) -> None:
    spec = a_spec(columns={"event_time": None, "label_time": None}, training={"holdout_share": 0.25})
    rows = rows_of()
    data = data_of(spec, rows.assign(**{ARRIVED: rows["at"]}), tmp_path)
    challenger = fit_on(data, "logistic_regression", data.split.training, str(tmp_path / "model"))
    # The gate's evidence names the span of time alone.
    report, judged = make_report(data, challenger, Window(until=data.split.holdout.until), None)

    assert "over_time.png" not in png_plots(report, judged)
    card = model_card(Report.model_validate_json(report.canonical_json()), DECISION, "t")
    assert "trained on: the random 75% of the rows known at 2024-03-01 00:00 that were not held out" in card
    assert "judged on: the random 25% of the rows known at 2024-03-01 00:00 that were held out" in card
    assert "nothing shows how its quality changes over time" in card


def test_classes_that_came_up_or_died_out_are_told(tmp_path: Path) -> None:
    rows = rows_of("multiclass")
    later = rows["at"] >= pd.Timestamp(UNTIL) - pd.Timedelta("14D")
    rows["y"] = rows["y"].where(~(later & (rows["y"] == "mild")), "warm").where(~(later & (rows["x"] > 1)), "hot")
    data = data_of(a_spec("multiclass"), rows, tmp_path)
    challenger = fit_on(data, "logistic_regression", data.split.training, str(tmp_path / "model"))
    report, _ = make_report(data, challenger, data.split.holdout, None)

    came_up, died_out = report.classes
    assert came_up.startswith("'hot' is in ")
    assert "in no training row: it is never answered" in came_up
    assert died_out.startswith("'mild' is in ")
    assert f"- {came_up}." in model_card(report, DECISION, "t")
    assert class_changes(rows["y"], rows["y"].iloc[::-1], "multiclass") == ()
    assert class_changes(pd.Series([0.0, 1.0]), pd.Series([1.0]), "binary") == (
        "0 is in 1 of 2 training rows and in no hold-out row: nothing shows how well it is answered",
    )


def test_what_was_only_learned_by_heart_is_called_overfit(tmp_path: Path) -> None:
    rows = rows_of().assign(y=np.random.default_rng(1).integers(0, 2, 900).astype(float))
    candidate = {"candidates": ["random_forest"], "parameters": {"random_forest": {"n_estimators": 10}}}
    data = data_of(a_spec(training={**candidate, "evidence": "quick"}), rows, tmp_path)
    challenger = fit_on(data, "random_forest", data.split.training, str(tmp_path / "model"))
    report, _ = make_report(data, challenger, data.split.holdout, None)
    assert report.fit.startswith("overfit")
    assert report.shap is report.robustness is None
