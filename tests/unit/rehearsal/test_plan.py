"""The windows of a rehearsal, and what it can't show."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from support.deliveries import SPEC, deliveries, write_month

from everfit.blocks.errors import SpecError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.rehearsal.plan import SourceHistory, as_rehearsed, read_history, remarks, window_ends

WEEK = timedelta(days=7)
FIRST, NOW = datetime(2024, 1, 1, 5, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)


def spec(**changes: Any) -> ModelSpec:
    return ModelSpec.model_validate({**SPEC, **changes})


def history(days: int, without: range = range(0)) -> SourceHistory:
    """One row a day."""
    counts = {(FIRST + timedelta(days=day)).date(): 1 for day in range(days) if day not in without}
    return SourceHistory(first=FIRST, last=FIRST + timedelta(days=days - 1), days=counts)


def test_windows_end_with_the_newest_day_and_begin_after_a_quarter_of_history() -> None:
    ends = window_ends(spec(), history(200), None, None, WEEK, NOW)
    assert ends[-1] == datetime(2024, 7, 19, tzinfo=UTC)
    assert {after - before for before, after in pairwise(ends)} == {WEEK}
    assert timedelta(0) <= ends[0] - (FIRST + timedelta(days=50)) < 2 * WEEK


def test_before_the_first_training_there_is_what_a_first_model_needs() -> None:
    ends = window_ends(spec(training={"holdout": "40d"}), history(200), None, None, WEEK, NOW)
    assert ends[0] - FIRST >= timedelta(days=81)


def test_windows_of_a_given_span_begin_with_it() -> None:
    since, until = datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 3, 20, tzinfo=UTC)
    assert window_ends(spec(), history(200), since, until, WEEK, NOW) == (since, since + WEEK, since + 2 * WEEK)


@pytest.mark.parametrize(("days", "every"), [(30, WEEK), (200, timedelta(days=120))])
def test_too_short_a_history_is_said_in_one_sentence(days: int, every: timedelta) -> None:
    with pytest.raises(SpecError, match=rf"history of {days - 1} days, from 2024-01-01 .* two are needed; give a"):
        window_ends(spec(), history(days), None, None, every, NOW)
    with pytest.raises(SpecError, match="'0s' is empty or negative"):
        window_ends(spec(), history(days), None, None, timedelta(0), NOW)


def test_gaps_and_missing_label_times_are_told_and_the_rest_goes_on() -> None:
    roles = {name: value for name, value in dict(SPEC["columns"]).items() if name != "label_time"}  # type: ignore[call-overload]
    model, rows = spec(columns=roles, gate={"approval": "always"}), history(200, without=range(100, 115))
    ends = window_ends(model, rows, None, None, WEEK, NOW)
    label, gap, approval = remarks(model, rows, ends)
    assert label.endswith("so it counts as known 1d after the event, its maturity.")
    (at_once,) = remarks(spec(columns=roles, maturity="0s"), history(200), ends)
    assert at_once.endswith("so it counts as known at the event.")
    assert gap.startswith("1 of 21 windows has no row, that from 2024-04-12; it can")
    assert "approved at once" in approval
    assert list(remarks(spec(), history(200), ends)) == []


def test_rows_of_the_future_are_no_history(tmp_path: Path) -> None:
    frame = deliveries("2024-01-01", 10)
    write_month(tmp_path, "all", pd.concat([frame, frame.tail(3).assign(sent_at="2094-01-01T00:00:00Z")]))
    model = spec(source={"kind": "files", "path": f"{tmp_path}/deliveries/*.csv"})
    found = read_history(model, NOW)
    assert found.last < datetime(2024, 1, 11, tzinfo=UTC)
    assert sum(found.days.values()) == len(frame)
    assert found.rows(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 3, tzinfo=UTC)) == sum(
        found.days[date(2024, 1, day)] for day in (1, 2)
    )


def test_without_rows_or_event_times_there_is_nothing_to_rehearse(tmp_path: Path) -> None:
    write_month(tmp_path, "all", deliveries("2024-01-01", 1))
    model = spec(source={"kind": "files", "path": f"{tmp_path}/deliveries/*.csv"})
    with pytest.raises(SpecError, match="no row with an event time before 2020"):
        read_history(model, datetime(2020, 1, 1, tzinfo=UTC))
    untimed = {"key": ["id"], "target": "late"}
    with pytest.raises(SpecError, match=r"columns\.event_time names none"):
        read_history(spec(columns=untimed, maturity="0s"), NOW)


def test_a_life_reaches_no_service_and_nobody() -> None:
    model = spec(
        release={"services": ["http://localhost:1"], "strategy": "canary"},
        gate={"approval": "always"},
        notify={"critical": ["slack/ops"]},
        schedules={"monitoring": "7 * * * *"},
    )
    lived = ModelSpec.model_validate(as_rehearsed(model.content()))
    assert lived.release.services == ()
    assert (lived.release.strategy, lived.gate.approval, lived.monitoring.report) == ("replace", "never", "never")
    assert lived.notify.critical is None
    assert lived.schedules.monitoring is None
    assert (lived.training, lived.retraining, lived.columns) == (model.training, model.retraining, model.columns)
