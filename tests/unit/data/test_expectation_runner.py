"""What is asked of rows by themselves, and what is left behind."""

import gc
import weakref

import pandas as pd

from everfit.blocks.expectations import Expectation
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
