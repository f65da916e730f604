"""What is asked of rows by themselves, and what is left behind."""

import gc
import weakref

import numpy as np
import pandas as pd
import pytest

from everfit.blocks.expectations import Expectation
from everfit.tasks.data import expectation_runner
from everfit.tasks.data.expectation_runner import Checker


def test_a_piece_that_was_checked_is_not_held_in_memory():
    bound = Expectation(type="expect_column_values_to_be_between", kwargs={"column": "x", "max_value": 2})
    checker, frame = Checker([bound], pieces=2), pd.DataFrame({"x": [1.0, 2.0, 3.0]})
    gc.disable()
    try:
        assert checker.check(frame) == [(0, [2])]
        held = weakref.ref(frame)
        del frame

        assert held() is None
    finally:
        gc.enable()


def test_words_show_a_value_only_if_several_rows_share_it():
    expectation = Expectation(type="expect_column_values_to_be_in_set", kwargs={"column": "x", "value_set": ["a"]})
    rows = pd.DataFrame({"x": ["a"] * 90 + ["new"] * 6 + ["only mine"]})
    checker = Checker([expectation])
    checker.check(rows)

    (outcome,) = checker.outcomes()
    assert outcome.observed == "7 of 97 (7.2%), such as new"
    assert outcome.samples == ("new",)


def test_many_columns_are_checked_some_at_a_time_with_the_same_results(monkeypatch: pytest.MonkeyPatch):
    frame = pd.DataFrame(np.arange(60.0).reshape(3, 20), columns=[f"x{number}" for number in range(20)])
    suite = [
        Expectation(type="expect_column_values_to_be_between", kwargs={"column": name, "max_value": 49})
        for name in frame.columns
    ]
    suite.append(Expectation(type="expect_table_column_count_to_equal", kwargs={"value": 20}))
    suite.append(
        Expectation(
            type="expect_column_pair_values_a_to_be_greater_than_b", kwargs={"column_A": "x19", "column_B": "x0"}
        )
    )
    suite.append(Expectation(type="expect_column_to_exist", kwargs={"column": "absent"}))

    def checked() -> tuple[object, object]:
        checker = Checker(suite)
        return sorted(checker.check(frame)), checker.outcomes()

    monkeypatch.setattr(expectation_runner, "COLUMNS_AT_ONCE", 1000)
    whole = checked()
    monkeypatch.setattr(expectation_runner, "COLUMNS_AT_ONCE", 8)
    assert checked() == whole
    assert sum(not outcome.passed for outcome in whole[1]) == 11
    widths = []
    run = expectation_runner._run
    monkeypatch.setattr(
        expectation_runner,
        "_run",
        lambda frame, suite, **how: widths.append(frame.shape[1]) or run(frame, suite, **how),
    )
    checked()
    assert max(widths) == 20  # the columns are counted with all of them there
    assert max(sorted(widths)[:-1]) <= 8


@pytest.mark.parametrize(
    "values",
    [
        [3.0, 1.0, np.nan, 7.0, 1.0, 2.0],
        [3, 1, 2, 7, 1, 2],
        pd.date_range("2024-01-01", periods=6, tz="UTC"),
        ["b", "a", None, "z", "b", "c"],
        [None, None, 1.0, None, None, None],
    ],
)
def test_extremes_and_distinct_values_of_parts_decide_as_those_of_the_whole(values: object):
    """Every reducible expectation, met and unmet, on a column whose extremes are in different parts."""
    frame = pd.DataFrame({"x": values})
    low, high = frame["x"].dropna().min(), frame["x"].dropna().max()
    bounds = [{"min_value": low, "max_value": low}, {"min_value": high, "max_value": high}]
    suite = [
        Expectation(type=f"expect_column_{end}_to_be_between", kwargs={"column": "x", **bound})
        for end in ("min", "max")
        for bound in bounds
        if not isinstance(low, str)  # which Great Expectations takes as no bound
    ]
    suite += [
        Expectation(type=f"expect_column_distinct_values_to_{how}", kwargs={"column": "x", "value_set": chosen})
        for how in ("be_in_set", "contain_set", "equal_set")
        for chosen in ([low], sorted(frame["x"].dropna().unique()))
    ]
    suite += [
        Expectation(type="expect_column_unique_value_count_to_be_between", kwargs={"column": "x", "max_value": most})
        for most in (1, 6)
    ]
    whole, first, last = Checker(suite), Checker(suite, 3), Checker(suite, 3)
    whole.check(frame)
    assert not list(first.columns_of_whole())
    assert first.columns_by_row() == ["x"]

    first.check(frame[:2].reset_index(drop=True))
    first.check(frame[:0])
    last.check(frame[2:].reset_index(drop=True))
    first.merge(last)

    assert first.outcomes() == first.outcomes() == whole.outcomes()
    assert {outcome.passed for outcome in whole.outcomes()} == ({True} if low == high else {True, False})


def test_a_column_is_there_or_not_in_the_words_of_great_expectations(monkeypatch: pytest.MonkeyPatch):
    suite = [Expectation(type="expect_column_to_exist", kwargs={"column": name}) for name in ("x", "absent")]
    frame = pd.DataFrame({"x": [1.0]})
    own = Checker(suite)
    own.check(frame)
    monkeypatch.setattr(expectation_runner, "is_existence", lambda expectation: False)
    theirs = Checker(suite)
    theirs.check(frame)

    assert own.outcomes() == theirs.outcomes()
    assert [outcome.passed for outcome in own.outcomes()] == [True, False]


def test_columns_that_no_expectation_names_are_there_when_the_columns_are_counted():
    named = Expectation(type="expect_table_columns_to_match_set", kwargs={"column_set": ["x"]})
    checker = Checker([named], pieces=2)
    assert checker.columns_by_row() is None


SUMS = ("mean", "sum", "stdev")


@pytest.mark.parametrize(
    "values",
    [
        [3.0, 1.0, np.nan, 7.0, 1.5, 2.0],
        [3, 1, 2, 7, 1, 2],
        pd.array([3, 1, None, 7, 1, 2], dtype="Int64"),
        [None, None, 5.0, None, None, None],
        [np.nan] * 6,
        [1.0, np.inf, 2.0, 3.0, 4.0, 5.0],
        ["b", "a", None, "z", "b", "c"],
    ],
)
def test_sums_decide_as_great_expectations_does_on_all_rows(values: object, monkeypatch: pytest.MonkeyPatch):
    """Each with a bound that is met, one that is not, and one that a value on the bound must pass."""
    frame = pd.DataFrame({"x": values})
    numbers = pd.to_numeric(frame["x"], errors="coerce").dropna().astype(float)
    suite = []
    for name in SUMS:
        value = float(getattr(numbers, {"stdev": "std"}.get(name, name))()) if np.isfinite(numbers).all() else 0.0
        bounds = [{"min_value": value - 1}, {"max_value": value - 1}, {"min_value": value}]
        bounds += [{"min_value": value, "strict_min": True}, {"max_value": value, "strict_max": True}, {}]
        suite += [
            Expectation(type=f"expect_column_{name}_to_be_between", kwargs={"column": "x", **one}) for one in bounds
        ]
    exact, first, last = Checker(suite), Checker(suite, 2), Checker(suite, 2)
    exact.check(frame)
    first.check(frame[:2].reset_index(drop=True))
    last.check(frame[2:].reset_index(drop=True))
    first.merge(last)
    assert not list(first.columns_of_whole())
    monkeypatch.setattr(expectation_runner, "is_of_sums", lambda expectation: False)
    asked = Checker(suite)
    asked.check(frame)

    assert first.outcomes() == exact.outcomes()
    met = [outcome.passed for outcome in asked.outcomes()]
    assert [outcome.passed for outcome in exact.outcomes()] == met
    shown = [[outcome.observed for outcome in checker.outcomes()] for checker in (exact, asked)]
    shown = shown if np.isfinite(numbers).all() else [one[:12] for one in shown]  # no deviation from infinity
    assert [one.rstrip("0").rstrip(".") for one in shown[0]] == [one.rstrip("0").rstrip(".") for one in shown[1]]


def test_a_mean_has_the_same_digits_in_whatever_parts_its_rows_come():
    """In doubles, the order of these numbers decides what is left of them."""
    expectation = Expectation(type="expect_column_mean_to_be_between", kwargs={"column": "x", "min_value": 0.3})
    values = np.array([1e16, 0.3, -1e16, 0.9, 0.3, 1e16, -1e16, 0.2, 0.1, 0.6])
    found = set()
    for seed in range(5):
        parts = np.array_split(np.random.default_rng(seed).permutation(values), seed + 1)
        checker = Checker([expectation], len(parts))
        for part in parts:
            checker.check(pd.DataFrame({"x": part}))
        found.add(checker.outcomes())
    assert len(found) == 1


@pytest.mark.parametrize("kind", ["mean", "sum", "stdev"])
@pytest.mark.parametrize(
    ("other", "holds"), [(["a", "b"], False), (pd.Series([3, 5.5], dtype=object), True), ([None, None], True)]
)
def test_sums_of_numbers_do_not_hide_the_other_values_of_a_column(kind: str, other: object, holds: bool) -> None:
    bounds = {"column": "x", "min_value": 0, "max_value": 100}
    parts = [pd.DataFrame({"x": [1, 2]}), pd.DataFrame({"x": other})]
    for some in (parts, parts[::-1]):
        checker = Checker([Expectation(type=f"expect_column_{kind}_to_be_between", kwargs=bounds)])
        for part in some:
            checker.check(part)
        (outcome,) = checker.outcomes()
        assert outcome.passed == holds
        if kind == "sum" and holds:
            assert float(outcome.observed) == 3 + (8.5 if isinstance(other, pd.Series) else 0)
