"""Where there are many rows, settings are tried on a sample that keeps times and classes in their shares."""

from pathlib import Path

import numpy as np
import pytest
from support.training import a_spec, data_of, rows_of

from everfit.tasks.training import sample
from everfit.tasks.training.sample import sample_rows
from everfit.tasks.training.train import try_candidate


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_sample_keeps_order_times_and_classes_in_their_shares(task: str) -> None:
    rows, spec = rows_of(task, 9000), a_spec(task)
    found = sample_rows(spec, rows, 1000)
    assert abs(len(found) - 1000) <= 3
    assert found["at"].is_monotonic_increasing
    assert not found["id"].duplicated().any()
    by_day = found["at"].dt.dayofyear.value_counts(normalize=True, sort=False)
    assert (by_day - rows["at"].dt.dayofyear.value_counts(normalize=True, sort=False)).abs().max() < 0.01
    if task != "regression":
        assert (found["y"].value_counts(normalize=True) - rows["y"].value_counts(normalize=True)).abs().max() < 0.001
    assert found.equals(sample_rows(spec, rows, 1000))


def test_few_rows_are_all_taken_and_a_rare_class_stays() -> None:
    rows, spec = rows_of(rows=500), a_spec()
    assert sample_rows(spec, rows, 500) is rows
    rare = rows.assign(y=np.where(rows["id"] == 250, 1.0, 0.0))
    assert sample_rows(spec, rare, 100)["y"].sum() == 1


def test_a_setting_is_tried_on_a_sample_and_validated_on_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = ["logistic_regression", "hist_gradient_boosting"]
    data = data_of(a_spec(training={"candidates": two, "folds": 1}), rows_of(), tmp_path)
    whole = try_candidate(data, "logistic_regression")
    assert whole.sample is None
    monkeypatch.setattr(sample, "MOST_TRIED", 100)
    few = try_candidate(data, "logistic_regression")
    assert few.sample == 100
    assert few.score != whole.score
    assert abs((few.score or 0) - (whole.score or 0)) < 0.05
