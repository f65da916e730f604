"""The model's expectations, asked of what was predicted on."""

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from support.training import SINCE, UNTIL, a_spec, rows_of

from everfit.blocks.errors import SpecError
from everfit.blocks.expectations import Expectation
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.core.records import Window
from everfit.tasks.data.suite import infer_suite
from everfit.tasks.monitoring.live_predictions import LivePredictions
from everfit.tasks.monitoring.signals.data import data_signal
from everfit.tasks.monitoring.signals.expectations import unmet
from everfit.tasks.monitoring.signals.rhythm import LogRhythm
from everfit.tasks.statistics.histograms import count_chunks
from everfit.tasks.statistics.profile import profile_frame
from everfit.tasks.statistics.volume import UnusualHours, VolumeCheck

COLUMNS = ["x", "noise", "color"]


def expect(kind: str, **kwargs: Any) -> Expectation:
    return Expectation(type=f"expect_{kind}", kwargs=kwargs)


@pytest.mark.slow
def test_ordinary_rows_meet_a_suite_that_was_made_from_others() -> None:
    suite = infer_suite(rows_of(seed=0), a_spec())
    assert unmet(suite, rows_of(seed=1)[COLUMNS], COLUMNS, 0.05) == ()


@pytest.mark.parametrize(
    ("column", "change", "named"),
    [
        ("x", lambda values: values + 100, "expect_column_values_to_be_between(column=x"),
        ("color", lambda values: values.replace("red", "crimson"), "crimson"),
        ("noise", lambda values: values.where(values.index % 3 == 0), "expect_column_values_to_not_be_null"),
    ],
)
def test_what_training_would_refuse_is_told(column: str, change: Any, named: str) -> None:
    rows = rows_of(seed=1)
    rows[column] = change(rows[column])

    result = unmet(infer_suite(rows_of(seed=0), a_spec()), rows[COLUMNS], COLUMNS, 0.05)

    assert [(item.kind, item.column) for item in result] == [("expectation", column)]
    assert named in result[0].summary


def test_an_inferred_bound_is_told_apart_and_a_rule_without_exceptions_is_not_one() -> None:
    suite = [
        expect("column_values_to_be_between", column="x", max_value=-100, mostly=0.95),
        expect("column_values_to_not_be_null", column="noise"),
    ]
    rows = rows_of()[COLUMNS].assign(noise=np.nan)
    result = unmet(suite, rows, COLUMNS, 0.05, inferred=True)
    assert [(item.kind, item.column) for item in result or ()] == [("inferred_bound", "x"), ("expectation", "noise")]


@pytest.mark.parametrize(("bad", "told"), [(40, False), (60, True)])
def test_a_strict_expectation_may_fail_for_a_few_rows(bad: int, told: bool) -> None:
    rows = rows_of()[["x"]]
    rows.loc[: bad - 1, "x"] = np.nan
    result = unmet([expect("column_values_to_not_be_null", column="x")], rows, ["x"], 0.05)
    assert bool(result) is told
    assert not told or f"{bad / 900:.1%} of the rows are bad" in result[0].summary


def test_what_is_not_about_the_inputs_is_not_asked() -> None:
    suite = [
        expect("table_row_count_to_be_between", min_value=10_000),
        expect("column_values_to_not_be_null", column="y"),
        expect("column_pair_values_a_to_be_greater_than_b", column_A="x", column_B="y"),
    ]
    assert unmet(suite, rows_of()[COLUMNS], COLUMNS, 0.05) == ()


def test_of_few_rows_it_is_not_known_and_an_unknown_expectation_is_an_error() -> None:
    wrong = [expect("column_values_to_be_pretty", column="x")]
    assert unmet(wrong, rows_of()[COLUMNS].head(20), COLUMNS, 0.05) is None
    with pytest.raises(SpecError, match="pretty"):
        unmet(wrong, rows_of()[COLUMNS], COLUMNS, 0.05)


@pytest.mark.parametrize(("unmet_by", "status"), [((), "measured"), (None, "not_enough")])
def test_what_is_not_known_is_not_met(unmet_by: tuple[()] | None, status: str) -> None:
    rows = rows_of()
    profile = profile_frame(rows, COLUMNS, event_time="at")
    window = Window(since=SINCE, until=UNTIL)
    live = LivePredictions(window, count_chunks([rows], profile), UNTIL, rows.head(20), {1: len(rows)})

    hours = UnusualHours(since=SINCE, until=SINCE + timedelta(hours=2), rows=10, mean=50, low=30, high=70, weeks=9)
    rhythm = LogRhythm(VolumeCheck(weeks=9, unusual=(hours,), expected=1_000.0))

    result = data_signal(live, None, profile, MonitoringPolicy(), expected=None, unmet=unmet_by, rhythm=rhythm)

    assert (result.status, result.bad) == (status, ())
    assert [gap.share for gap in result.gaps] == [0.04]  # of the window's rows
    assert bool(result.reason) is (unmet_by is None)
