"""Evidence is measured on rows that no model has trained on, and on as much of them as the gate asks for."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.evaluating import PASSED, challenger_of, champion_of, evidence_of, known_since
from support.training import UNTIL, a_spec, data_of, rows_of

from everfit.blocks.errors import DataError
from everfit.tasks.core.records import Window
from everfit.tasks.data.cut import longer_holdout, rows_to_move
from everfit.tasks.evaluation.calibration import calibration_curve, expected_calibration_error
from everfit.tasks.evaluation.evaluate import evaluate
from everfit.tasks.evaluation.leakage import filled_with_the_label, suspected_leaks
from everfit.tasks.gate import decide
from everfit.tasks.gate.checks.negative_flips import NegativeFlips
from everfit.tasks.statistics.business_value import best_threshold, no_action, worth_of
from everfit.tasks.training.results import read_model
from everfit.tasks.training.search import Setting
from everfit.tasks.training.train import fit_on


@pytest.mark.slow
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_both_models_are_compared_on_rows_that_neither_has_seen(task: str, tmp_path: Path) -> None:
    found = evidence_of(tmp_path, task)

    assert found.overlap_rows == 0
    assert found.champion_version == 1
    assert found.comparison is not None
    assert found.comparison.rows == found.holdout_rows == known_since(rows_of(task), found.holdout.since)
    assert found.comparison.challenger == pytest.approx(found.challenger[found.metric])
    assert decide(found, a_spec(task).gate).checks[0].passed


@pytest.mark.slow
def test_rows_that_the_champion_was_fitted_on_again_are_left_out(tmp_path: Path) -> None:
    data = data_of(a_spec(), rows_of(), tmp_path)
    seen_until = UNTIL - timedelta(days=5)
    found = evaluate(data, challenger_of(data), champion_of(data, seen_until), PASSED)

    assert found.holdout.since == seen_until
    assert found.holdout_rows == known_since(rows_of(), seen_until)
    with pytest.raises(DataError, match="none left to compare on"):
        evaluate(data, challenger_of(data), champion_of(data, UNTIL), PASSED)


def test_a_planted_overlap_is_counted_and_keeps_the_champion(tmp_path: Path) -> None:
    data = data_of(a_spec(), rows_of(), tmp_path)
    cheat = replace(data, split=data.split.model_copy(update={"training": Window(until=UNTIL - timedelta(days=7))}))
    found = evaluate(cheat, challenger_of(cheat), None, PASSED)

    assert found.overlap_rows == (rows_of()["at"].between(data.split.holdout.since, cheat.split.training.until)).sum()
    decision = decide(found, data.spec.gate)
    assert decision.verdict == "keep"
    assert "trained on" in decision.reasons[0]


@pytest.mark.slow
def test_a_champion_that_needs_a_lost_column_is_told_so(tmp_path: Path) -> None:
    data = data_of(a_spec(), rows_of(), tmp_path)
    champion = champion_of(data, UNTIL - timedelta(days=30))
    fewer = data_of(a_spec(name="fewer"), rows_of().drop(columns="noise"), tmp_path)
    with pytest.raises(DataError, match="the champion needs the column 'noise'"):
        evaluate(fewer, challenger_of(fewer), champion, PASSED)


@pytest.mark.slow
def test_only_what_the_policy_asks_for_is_measured(tmp_path: Path) -> None:
    quiet = evidence_of(tmp_path / "a")
    assert quiet.slices is quiet.fairness is quiet.robustness is quiet.business_value is None

    gate = {
        "slices": {"columns": ["color", "noise"], "min_rows": 30},
        "fairness": {"max_demographic_parity_difference": 0.5},
        "robustness": {"max_flip_share": 0.9},
        "calibration": {"max_error": 0.2},
        "business_value": {"min_gain": -1},
    }
    value = {"true_positive": 10, "false_positive": -1, "unit": "EUR"}
    found = evidence_of(tmp_path / "b", gate=gate, columns={"protected": ["group"]}, training={"business_value": value})
    assert [str(each) for each in found.slices][:3] == ["color = blue", "color = green", "color = red"]
    assert len(found.slices) == 7
    assert sum(each.rows for each in found.slices) == 2 * found.holdout_rows
    assert all(each.comparison.rows == each.rows for each in found.slices)
    assert found.fairness[0].column == "group"
    assert 0 <= found.fairness[0].equalized_odds_difference < 0.5
    assert found.fairness[0].champion_demographic_parity_difference is not None
    assert 0 < found.robustness.flip_share < 1
    assert found.robustness.perturbation == "x missing"
    assert 0 < found.calibration.challenger < 0.2
    assert found.business_value.challenger > 0
    assert found.business_value.unit == "EUR"
    names = {check.name for check in decide(found, a_spec(gate=gate).gate).checks}
    assert {"slices", "fairness group demographic_parity_difference", "robustness", "business value"} <= names


def test_rows_that_the_champion_alone_answers_right_are_counted(tmp_path: Path) -> None:
    gate = {
        "negative_flips": {"max_share": 0.2, "max_slice_share": 0.2},
        "slices": {"columns": ["color"], "min_rows": 80},
    }
    data = data_of(a_spec(gate=gate), rows_of(), tmp_path)
    champion, challenger = champion_of(data, UNTIL - timedelta(days=30)), challenger_of(data)
    evidence = evaluate(data, challenger, champion, PASSED)
    flips = evidence.area("negative_flips", NegativeFlips)
    assert flips is not None

    rows = data.rows(evidence.holdout, "test")
    new, old = (
        model.predict(rows[list(model.feature_names_in_)]) == rows["y"]
        for model in (read_model(challenger, data.workspace), champion.model)
    )
    assert (flips.rows, flips.negative, flips.positive) == (len(rows), (old & ~new).sum(), (new & ~old).sum())
    assert flips.negative > 0
    counted = rows["color"].value_counts()
    assert {part.value: part.rows for part in flips.slices} == counted[counted >= 80].to_dict()
    assert {"negative flips", "negative flips by slice"} <= {
        check.name for check in decide(evidence, data.spec.gate).checks
    }


@pytest.mark.slow
def test_rows_of_an_entity_count_as_a_whole_and_a_lost_column_is_one_clear_error(tmp_path: Path) -> None:
    rows = rows_of("binary").assign(customer=lambda rows: [f"c{number % 9}" for number in range(len(rows))])
    columns: dict[str, Any] = {"ignore": ["customer"]}
    alone = evidence_of(tmp_path / "alone", rows=rows, columns=columns).comparison
    whole = evidence_of(tmp_path / "whole", rows=rows, columns=columns | {"entity": "customer"}).comparison
    assert alone is not None
    assert whole is not None
    assert alone.grouped_by != "customer"
    assert (whole.grouped_by, whole.groups) in {("customer", 9), (alone.grouped_by, alone.groups)}
    assert whole.reach(0.95) >= alone.reach(0.95)
    with pytest.raises(DataError, match=r"columns\.entity: 'customer' is no column of the dataset"):
        evidence_of(tmp_path / "lost", rows=rows_of("binary"), columns={"entity": "customer"})


@pytest.mark.slow
def test_a_column_that_tells_the_label_is_named_and_may_be_allowed(tmp_path: Path) -> None:
    rows = rows_of().assign(told=lambda frame: frame["y"] * 2 + 1)
    assert evidence_of(tmp_path / "a", rows=rows).suspected_leaks == ("told",)
    assert evidence_of(tmp_path / "b", rows=rows, training={"allow_leaks": ["told"]}).suspected_leaks == ()
    identifiers = pd.DataFrame({"unique": np.arange(900.0)})
    assert suspected_leaks(identifiers, rows["y"], "binary") == ()


def test_a_measure_that_sets_one_class_apart_is_no_leak_and_one_that_tells_all_is() -> None:
    random = np.random.default_rng(0)
    kinds = pd.Series(np.repeat(["adelie", "chinstrap", "gentoo"], 50))
    flipper = np.where(kinds == "gentoo", 217.0, 192.0) + random.normal(scale=4, size=150)
    code = kinds.map({"adelie": 1.0, "chinstrap": 2.0, "gentoo": 3.0}) + random.normal(scale=0.05, size=150)
    columns = pd.DataFrame({"flipper": flipper, "code": code, "endless": np.inf, "empty": np.nan, "kind": kinds})
    shuffled = random.permutation(150)
    found = suspected_leaks(columns.iloc[shuffled].reset_index(drop=True), kinds.iloc[shuffled], "multiclass")
    assert found == ("code", "kind")


def test_numbers_beyond_32_bits_are_weighed_for_leaks() -> None:
    random = np.random.default_rng(0)
    target = pd.Series(random.integers(0, 2, 200))
    columns = pd.DataFrame({"tells": np.where(target == 1, 1e308, -1e308), "large": 1e300 * random.normal(size=200)})
    assert suspected_leaks(columns, target, "binary") == ("tells",)


def test_a_column_that_is_filled_with_the_label_is_a_leak(tmp_path: Path) -> None:
    rows = rows_of()
    rows.loc[::5, "y"] = np.nan
    rows["outcome_code"] = pd.array(np.where(rows["y"].isna(), None, "done"), dtype="str")
    assert evidence_of(tmp_path, rows=rows).suspected_leaks == ("outcome_code",)
    assert filled_with_the_label(rows[["outcome_code"]], np.ones(900, dtype=bool)) == ()


def test_calibration_error_counts_the_distance_of_each_bin() -> None:
    random = np.random.default_rng(0)
    said = random.uniform(size=20_000)
    happened = (random.uniform(size=20_000) < said).astype(float)
    assert expected_calibration_error(said, happened) < 0.02
    assert expected_calibration_error(np.clip(said + 0.2, 0, 1), happened) > 0.15
    curve = calibration_curve(said, happened)
    assert [each.rows for each in curve] == [2_000] * 10
    assert all(abs(each.predicted - each.happened) < 0.05 for each in curve)


def test_the_threshold_follows_the_costs() -> None:
    truth = np.array([0.0, 0.0, 1.0, 1.0])
    scores = np.array([0.1, 0.6, 0.55, 0.9])
    spec = a_spec(training={"business_value": {"true_positive": 1, "false_positive": -10}})
    threshold = best_threshold(spec.training.business_value, truth, scores)
    assert 0.6 < threshold <= 0.9
    assert worth_of(spec.training.business_value, threshold)(truth, scores).tolist() == [0, 0, 0, 1]
    missing_costs = a_spec(training={"business_value": {"false_negative": -4}}).training.business_value
    assert no_action(missing_costs, truth) == -2.0


@pytest.mark.slow
def test_a_longer_holdout_takes_the_newest_training_rows_that_no_model_has_seen(tmp_path: Path) -> None:
    gate = {"min_rows": 400, "small_holdout": "extend"}
    data = data_of(a_spec(gate=gate), rows_of(), tmp_path)
    champion = champion_of(data, UNTIL - timedelta(days=40))
    small = evaluate(data, challenger_of(data), champion, PASSED)
    assert decide(small, data.spec.gate).extend_holdout

    times = data.training_rows(data.split.training)["at"]
    longer = replace(data, split=longer_holdout(data.split, times, 300, champion.version.trained_until))
    found = evaluate(longer, challenger_of(longer), champion, PASSED)
    assert found.holdout_rows == small.holdout_rows + 300
    assert found.overlap_rows == 0
    assert found.challenger_trained_until == found.holdout.since >= champion.version.trained_until
    assert not decide(found, data.spec.gate).extend_holdout

    seen = longer_holdout(data.split, times, 10_000, UNTIL - timedelta(days=20))
    assert seen.holdout.since == UNTIL - timedelta(days=20)
    late = champion_of(data, UNTIL - timedelta(days=14))
    assert evaluate(data, challenger_of(data), late, PASSED).holdout_extended


@pytest.mark.slow
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_a_holdout_of_one_class_is_measured_and_extended(task: str, tmp_path: Path) -> None:
    """Given a class that did not occur in the last weeks, then the hold-out reaches back to where it did."""
    rows = rows_of(task)
    late = rows["at"] > pd.Timestamp(UNTIL) - pd.Timedelta("16D")
    rows.loc[late, "y"] = "mild" if task == "multiclass" else 0.0
    data = data_of(a_spec(task, gate={"small_holdout": "extend"}), rows, tmp_path)
    found = evaluate(data, challenger_of(data), None, PASSED)

    assert found.rarest_class_rows == 0
    assert found.dummy_comparison is None
    assert (found.challenger["roc_auc"] is None) if task == "binary" else (found.challenger["log_loss"] is not None)
    assert decide(found, data.spec.gate).extend_holdout
    training, target = data.training_rows(data.split.training), data.spec.columns.target
    wanted = rows_to_move(data.spec, training[target], data.rows(found.holdout, "compare on")[target])
    longer = replace(data, split=longer_holdout(data.split, training["at"], wanted, None))
    again = evaluate(longer, challenger_of(longer), None, PASSED)
    assert again.rarest_class_rows >= 2 * data.spec.gate.min_class_rows
    assert again.dummy_comparison is not None


@pytest.mark.slow
def test_a_class_of_later_rows_alone_is_no_reason_to_stop(tmp_path: Path) -> None:
    rows = rows_of("multiclass")
    rows.loc[rows["at"] > pd.Timestamp(UNTIL) - pd.Timedelta("5D"), "y"] = "scorching"
    found = evidence_of(tmp_path, "multiclass", rows)
    assert found.challenger["log_loss"] > 1
    assert found.comparison.rows == found.holdout_rows
    third = rows_of().assign(
        y=lambda frame: np.where(frame["at"] > pd.Timestamp(UNTIL) - pd.Timedelta("5D"), 2.0, frame["y"])
    )
    with pytest.raises(DataError, match="now has 3 values"):
        evidence_of(tmp_path / "b", "binary", third)


def test_settings_are_part_of_what_was_fitted(tmp_path: Path) -> None:
    data = data_of(a_spec(), rows_of(), tmp_path)
    setting = Setting(parameters={"C": 0.5}, span="20d")
    fitted = fit_on(data, "logistic_regression", data.split.training, str(tmp_path / "m"), setting)
    assert fitted.trained_on.since == data.split.training.until - timedelta(days=20)
    assert read_model(fitted, data.workspace).steps[-1][1].C == 0.5


def test_a_champion_that_has_trained_on_all_labelled_rows_is_named(tmp_path: Path) -> None:
    rows = rows_of("binary")
    known = rows["known_at"] <= UNTIL
    rows.loc[known & (rows["at"] >= UNTIL - timedelta(days=9)), "y"] = None
    data = data_of(a_spec("binary"), rows, tmp_path)
    champion = champion_of(data, UNTIL - timedelta(days=8))

    with pytest.raises(DataError, match="no challenger can be compared with champion 1, which has trained on all rows"):
        evaluate(data, challenger_of(data), champion, PASSED)
