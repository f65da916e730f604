"""Where a table has many columns, rivals have a budget, and short spans need more rows."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.training import UNTIL, a_spec, data_of, rows_of

from everfit.tasks.data.cut import cut
from everfit.tasks.data.split import TrainingData
from everfit.tasks.training import fit_costs, sample, spans
from everfit.tasks.training.fit_costs import FEW_FEATURES, MOST_VALUES, FitBudget
from everfit.tasks.training.prequential import fit_prequentially
from everfit.tasks.training.results import CandidateResult, Fitted, how_fitted
from everfit.tasks.training.spans import competing_spans


def a_table(tmp_path: Path) -> TrainingData:
    spec = a_spec(gate={"min_rows": 50})
    data = data_of(spec, rows_of(rows=2_000), tmp_path)
    return replace(data, split=cut(data.spec, data.workspace.table("small", "dataset"), UNTIL))


def fitted(data: TrainingData) -> Fitted:
    results = [
        CandidateResult(candidate=name, metric="roc_auc", score=score, rows=9, seconds=1)
        for name, score in (("logistic_regression", 0.9), ("hist_gradient_boosting", 0.8))
    ]
    return fit_prequentially(data, results, data.workspace.turn_file("small", "t", "challenger.skops"))


def test_few_columns_cost_nothing_whatever_the_rows() -> None:
    budget = FitBudget(FEW_FEATURES)
    assert all(budget.allows("boosting", 10**9, 3, is_first=bool(number)) for number in range(100))
    assert str(budget) == ""


def test_rivals_are_fitted_until_the_budget_is_spent_and_what_is_left_out_is_said() -> None:
    budget = FitBudget(FEW_FEATURES + 1_000)
    assert budget.allows("ensemble on the newest 30d", 25_000, 2, is_first=True)
    assert not budget.allows("boosting", MOST_VALUES // 1_000, is_first=True)
    assert budget.allows("ensemble on the newest 8d", 100, is_first=True)  # as dear as 10,000 rows
    assert budget.spent == MOST_VALUES
    assert not budget.allows("ensemble on the newest 8d", 100, is_first=False)
    assert str(budget) == "without boosting and 1 later fit of rivals, because a fit on 1,050 features takes long"


@pytest.mark.slow
def test_a_rival_beyond_the_budget_is_not_fitted_and_the_leader_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody = fitted(a_table(tmp_path / "a"))
    monkeypatch.setattr(fit_costs, "FEW_FEATURES", 0)
    monkeypatch.setattr(fit_costs, "MOST_VALUES", 0)

    alone = fitted(a_table(tmp_path / "b"))

    assert (everybody.left_out, how_fitted(everybody)) == ("", "")
    assert alone.candidate == "logistic_regression"
    assert how_fitted(alone).startswith("without logistic_regression on the newest ")
    assert "hist_gradient_boosting, because a fit on " in how_fitted(alone)


def test_a_span_needs_more_rows_where_there_are_many_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = a_table(tmp_path)
    assert len(competing_spans(data)) == 3  # the shortest has 125 rows

    monkeypatch.setattr(spans, "FEW_FEATURES", 0)

    assert len(competing_spans(data)) == 2


def test_the_sample_that_settings_are_tried_on_is_bounded_by_values() -> None:
    assert [sample.most_tried(columns) for columns in (1, 50, 200, 1_000, 10_000)] == [
        50_000,
        50_000,
        50_000,
        10_000,
        5_000,
    ]
