"""Candidates are tried on later rows, chosen, and fitted the same each time; one that fails does not end the turn."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.training import SINCE, UNTIL, a_spec, data_of, rows_of

from everfit.blocks.errors import DataError, ModelError, TrainingError
from everfit.blocks.training import CANDIDATES
from everfit.tasks.core.records import Window
from everfit.tasks.data.cut import split_window
from everfit.tasks.data.row_choice import label_is_visible
from everfit.tasks.models.skops_format import dump_model, load_model
from everfit.tasks.statistics.scores import class_indices, class_list, model_scores, prior_scores
from everfit.tasks.training.fitting import fit, recency_weights
from everfit.tasks.training.folds import FEW_ROWS, folds_of, time_folds
from everfit.tasks.training.pipelines import IF_FEW_ROWS
from everfit.tasks.training.results import CandidateResult, read_model
from everfit.tasks.training.search import Setting
from everfit.tasks.training.train import fit_on, ranked, try_candidate


def test_the_holdout_is_the_last_part_whose_labels_are_mature() -> None:
    split = split_window(a_spec(maturity="2d", training={"holdout": "7d", "window": "30d"}), UNTIL)

    assert split.holdout.until == UNTIL - timedelta(days=2)
    assert split.holdout.since == split.training.until == UNTIL - timedelta(days=9)
    assert split.training.since == UNTIL - timedelta(days=32)


def test_a_label_counts_once_it_is_known_and_mature() -> None:
    at = [pd.Timestamp("2024-02-01", tz="UTC")] * 4 + [pd.Timestamp("2024-02-29", tz="UTC")]
    late, soon = pd.Timestamp("2024-03-02", tz="UTC"), pd.Timestamp("2024-02-02", tz="UTC")
    frame = pd.DataFrame({"at": at, "known_at": [soon, late, pd.NaT, soon, soon], "y": [1.0, 1.0, 1.0, np.nan, 1.0]})

    assert label_is_visible(frame, a_spec(maturity="2d"), UNTIL).tolist() == [True, False, False, False, False]
    assert label_is_visible(frame, a_spec(columns={"label_time": None}), UNTIL).tolist() == [True] * 3 + [False, True]


def test_rows_whose_label_is_not_known_yet_are_not_trained_on(tmp_path: Path) -> None:
    rows = rows_of()
    rows.loc[:99, "known_at"] = pd.Timestamp(UNTIL) + pd.Timedelta("1h")
    data = data_of(a_spec(), rows, tmp_path)

    trained = data.training_rows(data.split.training)
    assert len(trained) == (rows["at"] < data.split.training.until).sum() - 100
    assert trained["at"].is_monotonic_increasing
    assert not {"id", "known_at", "group"} & set(data.features) - {"group"}


def test_folds_validate_on_later_rows_and_meet_each_other() -> None:
    assert [(f.stop, v.start, v.stop) for f, v in time_folds(100, 1)] == [(80, 80, 100)]
    folds = list(time_folds(1000, 4))
    assert folds[0][0].stop == 500
    assert all(fitted.stop == validated.start for fitted, validated in folds)
    assert folds[-1][1].stop == 1000
    with pytest.raises(DataError, match="too few for 4 folds"):
        list(time_folds(3, 4))


def test_few_rows_are_cut_into_more_folds_as_long_as_each_has_two_classes() -> None:
    rows, spec = rows_of(rows=1000), a_spec()
    assert [(fitted[-1], validated[-1]) for fitted, validated in folds_of(spec, rows)] == [
        (499, 599), (599, 699), (699, 799), (799, 899), (899, 999),
    ]  # fmt: skip
    assert len(folds_of(spec, rows_of(rows=FEW_ROWS))) == 1
    assert len(folds_of(a_spec(training={"folds": 2}), rows)) == 2
    rare = rows.assign(y=0.0)
    rare.loc[[100, 650, 820, 950], "y"] = 1.0  # of five parts one has none, of four at the end neither
    made = folds_of(spec, rare)
    assert len(made) == 3
    assert all(rare["y"].iloc[part].nunique() == 2 for fold in made for part in fold)
    with pytest.raises(DataError, match=r"'y' is 1.0 in 1,000 of 1,000 training rows"):
        folds_of(spec, rows.assign(y=1.0))
    with pytest.raises(DataError, match=r"with training.folds 5 a fold would have 'y' of one class alone"):
        folds_of(a_spec(training={"folds": 5}), rare)


@pytest.mark.parametrize("timed", [True, False])
def test_a_class_of_one_in_a_thousand_is_on_both_sides_of_the_fold(timed: bool) -> None:
    """Given 20,000 rows with 20 of a class, all of them old, then one fold is cut where both parts have some."""
    rows = rows_of(rows=20_000).assign(y=0.0)
    rows.loc[np.arange(20) * 200, "y"] = 1.0
    spec = a_spec() if timed else a_spec(columns={"event_time": None, "label_time": None})
    ((fitted, validated),) = folds_of(spec, rows)

    assert rows["y"].iloc[fitted].sum() + rows["y"].iloc[validated].sum() == 20
    assert 3 <= rows["y"].iloc[validated].sum() <= 5
    rows.loc[rows.index[201:], "y"] = 0.0  # two are left
    assert [rows["y"].iloc[part].sum() for part in folds_of(spec, rows)[0]] == [1, 1]
    rows.loc[200, "y"] = 0.0
    with pytest.raises(DataError, match=r"'y' is 0.0 in 19,999, 1.0 in 1 of 20,000 training rows; .* both need two"):
        folds_of(spec, rows)


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_rows_without_times_are_cut_by_a_draw_that_gives_each_part_its_share_of_each_class(task: str) -> None:
    rows, spec = rows_of(task, 500).sort_values("y"), a_spec(task, columns={"event_time": None, "label_time": None})
    made = folds_of(spec, rows)

    assert len(made) == 5
    assert sorted(np.concatenate([validated for _, validated in made])) == list(range(500))
    assert all(not set(fitted) & set(validated) and len(fitted) == 400 for fitted, validated in made)
    if task == "multiclass":
        shares = [rows["y"].iloc[validated].value_counts() for _, validated in made]
        assert all((each - shares[0]).abs().max() <= 1 for each in shares)
    ((fitted, validated),) = folds_of(a_spec(task, spec.columns.model_dump(), training={"folds": 1}), rows)
    assert (len(fitted), len(validated)) == (400, 100)
    with pytest.raises(DataError, match="too few for 5 folds"):
        folds_of(a_spec(task, spec.columns.model_dump(), training={"folds": 5}), rows.head(7))


@pytest.mark.slow
def test_of_few_rows_settings_that_suit_them_compete_with_the_defaults(tmp_path: Path) -> None:
    two = ["hist_gradient_boosting", "logistic_regression"]
    data = data_of(a_spec(training={"candidates": two, "folds": 1}), rows_of(), tmp_path)
    tries = try_candidate(data, "hist_gradient_boosting").tries
    small, codes = IF_FEW_ROWS["hist_gradient_boosting"]
    assert [each.setting.parameters for each in tries] == [{}, small, codes]
    assert tries[0].score != tries[1].score
    model = fit(data.spec, data.features, "hist_gradient_boosting", tries[2].setting, rows_of())
    assert model.steps[-1][1].is_categorical_ is None
    numbers = {
        "candidates": two,
        "folds": 1,
        "parameters": {"hist_gradient_boosting": {"learning_rate": 0.2}},
    }
    data = data_of(a_spec(columns={"ignore": ["color", "group"]}, training=numbers), rows_of(), tmp_path / "other")
    tries = try_candidate(data, "hist_gradient_boosting").tries
    assert [each.setting.parameters for each in tries] == [{}]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_same_rows_give_the_same_model_and_a_plain_fit_reaches_no_better(task: str, tmp_path: Path) -> None:
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.metrics import log_loss, roc_auc_score, root_mean_squared_error
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    two = {"candidates": ["ridge" if task == "regression" else "logistic_regression", "hist_gradient_boosting"]}
    data = data_of(a_spec(task, columns={"ignore": ["group"]}, training={**two, "folds": 1}), rows_of(task), tmp_path)
    trial = try_candidate(data, data.spec.training.candidates[0])
    rows = data.training_rows(data.split.training)
    fitted, later = rows.iloc[: round(len(rows) * 0.8)], rows.iloc[round(len(rows) * 0.8) :]
    columns = make_column_transformer((StandardScaler(), ["x", "noise"]), (OneHotEncoder(), ["color"]))
    plain = make_pipeline(columns, Ridge() if task == "regression" else LogisticRegression()).fit(fitted, fitted["y"])
    expected = {
        "binary": lambda: roc_auc_score(later["y"], plain.predict_proba(later)[:, 1]),
        "multiclass": lambda: log_loss(later["y"], plain.predict_proba(later)),
        "regression": lambda: root_mean_squared_error(later["y"], plain.predict(later)),
    }[task]()
    assert trial.error == ""
    assert trial.score == pytest.approx(expected, abs=0.005)
    first, again = (fit_on(data, trial.candidate, data.split.training, str(tmp_path / name)) for name in "ab")
    assert first.rows == len(rows)
    answers = [read_model(each, data.workspace).predict(rows[data.features]) for each in (first, again)]
    assert np.array_equal(*answers)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("candidate", "task"), [(name, task) for name in CANDIDATES for task in sorted(CANDIDATES[name])]
)
def test_each_candidate_takes_missing_values_and_unknown_categories(candidate: str, task: str, tmp_path: Path) -> None:
    rows = rows_of(task, 300)
    rows.loc[::7, "x"] = np.nan
    rows.loc[::11, "color"] = None
    quick = {"hist_gradient_boosting": {"max_iter": 5}, "random_forest": {"n_estimators": 5}}
    members = ["hist_gradient_boosting", "ridge" if task == "regression" else "logistic_regression"]
    tried = [*members, candidate] if candidate == "ensemble" else [candidate]
    training = {"candidates": tried, "parameters": {name: quick[name] for name in tried if name in quick}}
    data = data_of(a_spec(task, training=training), rows, tmp_path)

    fitted = fit_on(data, candidate, data.split.training, str(tmp_path / "model"))
    strange = rows[data.features].head(3).assign(color="violet")
    assert len(read_model(fitted, data.workspace).predict(strange)) == 3


def test_classes_that_appear_or_die_out_keep_their_places() -> None:
    rows = rows_of("multiclass", 300)
    spec = a_spec("multiclass")
    two = rows[rows["y"] != "mild"]
    model = fit(spec, ["x", "noise", "color"], "logistic_regression", Setting(), two)
    classes = class_list(pd.concat([rows["y"], pd.Series(["hot"])]), "multiclass")

    said = model_scores(model, rows[["x", "noise", "color"]], classes, "multiclass")
    assert classes == ["cold", "hot", "mild", "warm"]
    assert said.shape == (300, 4)
    assert not said[:, [1, 2]].any()
    assert np.allclose(said.sum(axis=1), 1)
    assert class_indices(pd.Series(["warm", "cold"]), classes, "multiclass").tolist() == [3.0, 0.0]
    assert prior_scores(two["y"], 2, classes, "multiclass").shape == (2, 4)


def test_a_fold_without_one_of_the_classes_is_scored_all_the_same(tmp_path: Path) -> None:
    rows = rows_of("multiclass")
    rows.loc[: len(rows) // 2, "y"] = rows["y"].where(rows["y"] != "warm", "mild")
    two = ["hist_gradient_boosting", "logistic_regression"]
    data = data_of(a_spec("multiclass", training={"candidates": two, "folds": 3}), rows, tmp_path)

    trial = try_candidate(data, "logistic_regression")
    assert trial.error == ""
    assert len(trial.tries[0].folds) == 3


def test_the_only_candidate_with_one_setting_is_not_tried(tmp_path: Path) -> None:
    def tried(name: str, policy: dict[str, object], rows: int = FEW_ROWS) -> CandidateResult:
        return try_candidate(
            data_of(a_spec(training=policy), rows_of(rows=rows), tmp_path / name), "logistic_regression"
        )

    alone = tried("alone", {"candidates": ["logistic_regression"], "holdout": "7d"}, rows=2 * FEW_ROWS)
    assert (alone.alone, alone.tries, alone.error, alone.setting) == (True, (), "", Setting())
    assert alone.remark == "not tried on validation rows, as the only candidate with one setting"
    assert ranked([alone]) == [alone]
    several: dict[str, dict[str, object]] = {
        "two": {"candidates": ["logistic_regression", "hist_gradient_boosting"]},
        "spans": {"candidates": ["logistic_regression"], "window": "best", "windows": ["all", "20d"]},
        "search": {"candidates": ["logistic_regression"], "search": {"trials": 2}},
    }
    for name, policy in several.items():
        assert tried(name, policy).tries


def _trial(candidate: str, score: float | None, metric: str = "roc_auc") -> CandidateResult:
    return CandidateResult(
        candidate=candidate, metric=metric, score=score, rows=1, seconds=0, error="" if score else "broke"
    )


def test_the_best_score_is_chosen_and_of_equals_the_first() -> None:
    assert ranked([_trial("a", 0.7), _trial("b", 0.8), _trial("c", 0.8)])[0].candidate == "b"
    assert [each.candidate for each in ranked([_trial("a", 2.0, "rmse"), _trial("b", 1.0, "rmse")])] == ["b", "a"]
    with pytest.raises(TrainingError, match="a: broke; b: broke"):
        ranked([_trial("a", None), _trial("b", None)])


def test_recent_rows_weigh_more_and_classes_the_same(tmp_path: Path) -> None:
    times = pd.Series(pd.to_datetime(["2024-01-01", "2024-01-11", "2024-01-21"], utc=True))
    assert recency_weights(times, timedelta(days=10)).tolist() == [0.25, 0.5, 1.0]
    rows = rows_of(rows=2000)
    early = rows["at"] < rows["at"].quantile(0.5)
    rows["y"] = np.where(early, rows["x"] > 0, rows["x"] < 0).astype(float)  # the world turns round
    features = ["x", "noise"]
    plain = fit(a_spec(), features, "logistic_regression", Setting(), rows)
    recent = fit(a_spec(training={"half_life": "3d"}), features, "logistic_regression", Setting(), rows)
    asked = pd.DataFrame({"x": [2.0], "noise": [0.0]})
    assert recent.predict_proba(asked)[0, 1] < 0.2 < plain.predict_proba(asked)[0, 1]
    rare = rows.assign(y=(rows["x"] > 1.6).astype(float) * (rows["noise"] > 0))
    shares = [
        fit(a_spec(training={"class_weight": weight}), features, "logistic_regression", Setting(), rare)
        .predict(rare[features])
        .mean()
        for weight in ("none", "balanced")
    ]
    assert shares[1] > 2 * shares[0]


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_probabilities_are_calibrated_on_rows_that_were_not_fitted_on(method: str, tmp_path: Path) -> None:
    rows = rows_of(rows=2000)
    features = ["x", "noise", "color"]
    raw = fit(a_spec(training={"class_weight": "balanced"}), features, "logistic_regression", Setting(), rows)
    spec = a_spec(training={"class_weight": "balanced", "calibration": method})
    model = fit(spec, features, "logistic_regression", Setting(), rows)

    truth = rows["y"].mean()
    errors = [abs(each.predict_proba(rows[features])[:, 1].mean() - truth) for each in (raw, model)]
    assert errors[1] < 0.03
    earlier = rows.iloc[:1600]
    plain = fit(a_spec(training={"class_weight": "balanced"}), features, "logistic_regression", Setting(), earlier)
    inner = model.steps[-1][1].calibrated_classifiers_[0].estimator.estimator
    assert np.array_equal(inner.coef_, plain.steps[-1][1].coef_)

    assert np.array_equal(
        load_model(dump_model(model)).predict_proba(rows[features]), model.predict_proba(rows[features])
    )


def test_a_model_that_would_run_any_function_is_refused() -> None:
    from functools import partial

    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer

    planted = Pipeline([("columns", FunctionTransformer(partial(eval, "1")))])
    with pytest.raises(ModelError, match=r"builtins\.eval"):
        load_model(dump_model(planted))


def test_no_row_and_one_class_are_said_in_words(tmp_path: Path) -> None:
    rows = rows_of()
    data = data_of(a_spec(), rows.assign(y=1.0), tmp_path)
    with pytest.raises(DataError, match="always 1 in"):
        try_candidate(data, "logistic_regression")
    with pytest.raises(DataError, match="no row with a label to train on"):
        data.training_rows(Window(until=SINCE))
