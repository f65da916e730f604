"""Groups of rows are compared by themselves, and each row is in one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.evaluating import evidence_of
from support.training import a_spec, rows_of

from everfit.tasks.evaluation.slices import groups
from everfit.tasks.gate import decide


@pytest.mark.slow
def test_slices_are_resampled_by_days_where_the_whole_is(tmp_path: Path) -> None:
    gate = {"resample": "days", "slices": {"columns": ["color"], "min_rows": 30}}
    by_days = evidence_of(tmp_path / "a", gate=gate)
    by_rows = evidence_of(tmp_path / "b", gate=gate | {"resample": "rows"})
    assert [each.comparison.method for each in by_rows.slices] == ["delong"] * 3
    assert [each.comparison.method for each in by_days.slices] == [by_days.comparison.method] * 3 == ["bootstrap"] * 3


def test_a_group_that_is_treated_otherwise_shows(tmp_path: Path) -> None:
    rows = rows_of()
    rows["y"] = np.where(rows["group"] == "a", 1.0, rows["y"])
    rows["proxy"] = (rows["group"] == "a").astype(float)
    gate = {"fairness": {"max_demographic_parity_difference": 0.1}}
    found = evidence_of(tmp_path, rows=rows, gate=gate, columns={"protected": ["group"]})
    assert found.fairness[0].demographic_parity_difference > 0.3


def test_a_slice_of_one_class_is_told_and_not_judged(tmp_path: Path) -> None:
    rows = rows_of()
    rows["y"] = np.where(rows["color"] == "red", 1.0, rows["y"])
    gate = {"slices": {"columns": ["color"], "min_rows": 20, "min_class_rows": 5}}

    found = evidence_of(tmp_path, rows=rows, gate=gate)

    (red,) = [each for each in found.slices if each.value == "red"]
    assert (red.rows >= 20, red.other_class_rows, red.comparison) == (True, 0, None)
    (check,) = [check for check in decide(found, a_spec(gate=gate).gate).checks if check.name == "slices"]
    assert check.passed
    assert "(1 can't be judged: color = red has 0 of 5 rows outside of its largest class)" in check.reason


def test_every_row_is_in_one_group() -> None:
    column = pd.Series([*np.linspace(0, 1, 40), np.nan, np.nan])
    found = dict(groups(column))
    assert list(found) == ["below 0.25", "0.25 to below 0.5", "0.5 to below 0.75", "0.75 or more", "missing"]
    assert (sum(chosen.astype(int) for chosen in found.values()) == 1).all()
    many = pd.Series([f"{number % 60:02}" for number in range(600)])
    assert len(list(groups(many))) == 51
