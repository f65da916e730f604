"""Drift needs a large effect and a sure one; a window that says nothing is neither drift nor no drift."""

import numpy as np
import pandas as pd
import pytest
from support.drifting import drift_between

from everfit.blocks.errors import DataError
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.monitoring.signals.drift import DriftResult, drift
from everfit.tasks.statistics.histograms import count_chunks, histograms
from everfit.tasks.statistics.profile import profile_frame

POLICY = MonitoringPolicy()
COLUMNS = [f"x{index}" for index in range(8)] + ["letter", "code"]


def _frame(rows: int, seed: int, **changes: object) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(rows, 8)), columns=COLUMNS[:8])
    frame["letter"] = rng.choice(list("abcdefghijklmnopqrst"), size=rows)
    frame["code"] = rng.poisson(4, rows)
    return frame.assign(**changes)


@pytest.mark.slow
def test_one_distribution_gives_one_verdict_at_a_thousand_and_at_a_million_rows() -> None:
    reference = profile_frame(_frame(100_000, 0), COLUMNS)
    small = drift(reference, histograms(_frame(1_000, 1), reference), POLICY)
    chunks = (_frame(250_000, seed) for seed in range(2, 6))
    large = drift(reference, count_chunks(chunks, reference), POLICY)
    assert (small.status, large.status, large.rows) == ("no_drift", "no_drift", 1_000_000)
    assert small.drifted_columns == large.drifted_columns == ()


@pytest.mark.slow
def test_one_shift_gives_one_verdict_at_a_thousand_and_at_a_million_rows() -> None:
    reference = profile_frame(_frame(100_000, 0), COLUMNS)
    rng = np.random.default_rng(9)
    for rows in (1_000, 1_000_000):
        shifted = _frame(rows, 1, x0=rng.normal(0.7, 1, rows), x1=rng.normal(0, 1.9, rows), letter="a")
        result = drift(reference, histograms(shifted, reference), POLICY)
        assert result.drifted_columns == ("x0", "x1", "letter")
        assert result.drifted is True
        assert result.drifted_share == pytest.approx(0.3)


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "allowed"), [(200, 0.1), (1_000, 0.0)])
def test_false_alarms_are_rare_in_small_windows(rows: int, allowed: float) -> None:
    # 60 pairs of one distribution, 10 columns each.
    results = [drift_between(_frame(rows, seed), _frame(rows, 1000 + seed), COLUMNS, POLICY) for seed in range(60)]
    assert np.mean([len(result.drifted_columns) > 0 for result in results]) <= allowed
    assert not any(result.drifted for result in results)


@pytest.mark.slow
def test_the_plain_distance_of_few_rows_would_have_cried_wolf_each_time() -> None:
    results = [drift_between(_frame(200, seed), _frame(200, 1000 + seed), COLUMNS, POLICY) for seed in range(30)]
    letters = [next(column for column in result.columns if column.column == "letter") for result in results]
    assert all(column.statistic is not None and column.statistic >= column.threshold for column in letters)
    assert sum(bool(column.drifted) for column in letters) <= 2


def test_a_slight_shift_of_many_rows_is_sure_but_no_drift() -> None:
    reference = profile_frame(_frame(200_000, 0), COLUMNS)
    rng = np.random.default_rng(5)
    slight = _frame(200_000, 1, x0=rng.normal(0.1, 1, 200_000))
    column = drift(reference, histograms(slight, reference), POLICY).columns[0]
    assert column.adjusted_p is not None
    assert column.adjusted_p < 1e-6
    assert column.drifted is False


@pytest.mark.slow
def test_a_large_effect_of_few_rows_is_not_sure() -> None:
    policy = MonitoringPolicy(min_rows=30, numeric_threshold=0.05)
    reference = profile_frame(_frame(1_000, 0), COLUMNS)
    results = [drift(reference, histograms(_frame(40, seed), reference), policy) for seed in range(1, 41)]
    columns = [column for result in results for column in result.columns]
    large = [column for column in columns if column.effect is not None and column.effect >= column.threshold]
    assert large
    assert sum(bool(column.drifted) for column in large) <= 2


def test_too_few_rows_are_neither_drift_nor_no_drift() -> None:
    reference = profile_frame(_frame(1_000, 0), COLUMNS)
    result = drift(reference, histograms(_frame(99, 1, x0=100.0), reference), POLICY)
    assert (result.status, result.drifted, result.columns) == ("not_enough_rows", None, ())
    assert "99 rows" in result.reasons[0]


def test_columns_that_cannot_be_compared_are_named_and_not_called_unchanged() -> None:
    reference = profile_frame(_frame(1_000, 0), COLUMNS)
    current = _frame(1_000, 1, x0=np.nan).drop(columns="x1")
    current.loc[50:, "x2"] = np.nan
    result = drift(reference, histograms(current, reference), POLICY)
    assert [(column.status, column.drifted) for column in result.columns[:3]] == [
        ("empty", None),
        ("absent", None),
        ("too_few_values", None),
    ]
    assert any(reason.startswith("x1 isn't compared") for reason in result.reasons)
    everything = drift(reference, histograms(current[[]].assign(other=1), reference), POLICY)
    assert (everything.status, everything.drifted) == ("not_comparable", None)


def test_rising_missing_share_is_told_apart_from_drift() -> None:
    reference = profile_frame(_frame(1_000, 0), COLUMNS)
    current = _frame(2_000, 1)
    current.loc[::2, "x0"] = np.nan
    column = drift(reference, histograms(current, reference), POLICY).columns[0]
    assert column.drifted is False
    assert column.missing_current - column.missing_reference == pytest.approx(0.5)


def test_a_new_category_is_drift_and_named() -> None:
    reference = profile_frame(_frame(1_000, 0), COLUMNS)
    current = _frame(1_000, 1)
    current.loc[:300, "letter"] = "new"
    column = drift(reference, histograms(current, reference), POLICY).columns[8]
    assert (column.drifted, column.unseen, column.unseen_share) == (True, ("new",), pytest.approx(0.301))


def test_predictions_that_moved_are_drift_by_themselves_unless_the_policy_says_no() -> None:
    rng = np.random.default_rng(0)
    reference = _frame(2_000, 0, score=rng.beta(2, 5, 2_000))
    current = _frame(2_000, 1, score=rng.beta(5, 2, 2_000))
    result = drift_between(reference, current, COLUMNS, POLICY, predictions=["score"])
    assert (result.drifted, result.prediction_drifted, result.drifted_share) == (True, True, 0.0)
    lenient = MonitoringPolicy(prediction_drift=False)
    assert drift_between(reference, current, COLUMNS, lenient, predictions=["score"]).drifted is False


def test_a_column_may_have_its_own_rule() -> None:
    reference, current = _frame(1_000, 0), _frame(1_000, 1, x0=5.0, x1=5.0)
    policy = MonitoringPolicy.model_validate({"columns": {"x0": {"ignore": True}, "x1": {"threshold": 50}}})
    result = drift_between(reference, current, COLUMNS, policy)
    assert [(column.status, column.drifted) for column in result.columns[:2]] == [
        ("ignored", None),
        ("compared", False),
    ]


def test_counts_over_another_profile_are_an_error() -> None:
    one, other = (profile_frame(_frame(500, seed), COLUMNS) for seed in (0, 1))
    with pytest.raises(DataError, match="counted over profile"):
        drift(one, histograms(_frame(500, 2), other), POLICY)


def test_the_same_inputs_give_the_same_record() -> None:
    results = [drift_between(_frame(500, 0), _frame(500, 1, x0=9.0), COLUMNS, POLICY) for _ in range(2)]
    assert results[0].digest() == results[1].digest()
    assert DriftResult.model_validate_json(results[0].canonical_json()) == results[0]


@pytest.mark.parametrize("window", [100, 200, 1_000])
def test_a_window_of_which_every_value_is_new_is_drift(window: int) -> None:
    # Given 50 equal values, so many that few rows of a window are to be expected of each,
    reference = pd.DataFrame({"gate": np.repeat([f"gate-{number}" for number in range(50)], 400)})
    profile = profile_frame(reference, ["gate"])
    new = pd.DataFrame({"gate": [f"new-{number % 50}" for number in range(window)]})
    result = drift(profile, histograms(new, profile), POLICY)
    assert (result.status, result.drifted_columns) == ("drift", ("gate",))
    some = new.copy()
    some.loc[some.index % 8 > 0, "gate"] = [f"gate-{number % 50}" for number in range((some.index % 8 > 0).sum())]
    assert drift(profile, histograms(some, profile), POLICY).columns[0].drifted  # an eighth is new


def test_of_many_rare_values_new_ones_are_no_drift_and_more_than_there_used_to_be_are() -> None:
    rng = np.random.default_rng(6)
    shares = 1 / np.arange(1, 3_001)
    names = np.array([f"tail-{number}" for number in range(3_000)])

    def rows(number: int) -> pd.DataFrame:
        return pd.DataFrame({"tail": rng.choice(names, p=shares / shares.sum(), size=number)})

    drifted = []
    for _ in range(20):
        profile = profile_frame(rows(1_000), ["tail"])
        assert profile.columns[0].once > 100
        column = drift(profile, histograms(rows(500), profile), POLICY).columns[0]
        assert column.unseen_share > 0.1
        drifted.append(column.drifted)
        other = rows(500)
        other.loc[::2, "tail"] = "new"
        assert drift(profile, histograms(other, profile), POLICY).columns[0].drifted
    assert sum(drifted) <= 2


def test_values_too_few_to_tell_apart_are_not_called_unchanged() -> None:
    profile = profile_frame(pd.DataFrame({"gate": ["a", "a", "b", "c", "d", "d"]}), ["gate"])
    column = drift(profile, histograms(pd.DataFrame({"gate": ["a"] * 300}), profile), POLICY).columns[0]
    assert (column.status, column.drifted) == ("too_few_values", None)
