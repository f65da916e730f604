"""A look sees enough labels, and all that came since the last look."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from support.logs import EVENT_TIME, answered, log_answers, log_labels
from support.training import a_spec

from everfit.blocks.settings import Settings
from everfit.tasks.core.records import ModelVersion, Window
from everfit.tasks.monitoring.champion_at import ChampionAt
from everfit.tasks.monitoring.monitored_model import MonitoredModel
from everfit.tasks.monitoring.signals.labels import labels_signal
from everfit.tasks.monitoring.windows import MonitoringWindows, monitoring_windows
from everfit.tasks.turns.context import Context

START, DAY = datetime(2024, 3, 1, tzinfo=UTC), timedelta(days=1)


def windows(until: datetime, looked: datetime | None = None, **monitoring: object) -> MonitoringWindows:
    spec = a_spec(maturity="1d", monitoring={"window": "7d", **monitoring})
    return monitoring_windows(spec, START, until, looked)


def daily(rows: int, until: datetime) -> pd.Series:
    """Event times of so many rows a day from the start on."""
    return pd.Series(pd.date_range(START, until, freq=DAY / rows, inclusive="left"))


def test_a_look_sees_the_newest_window() -> None:
    result = windows(START + 30 * DAY)
    assert result.window == Window(since=START + 23 * DAY, until=START + 30 * DAY)
    assert result.labelled == Window(since=START + 22 * DAY, until=START + 29 * DAY)
    assert result.unseen == Window(since=START, until=START + 30 * DAY)
    assert windows(START + 30 * DAY, START + 29 * DAY) == result


def test_after_a_pause_it_sees_all_since_the_last_look() -> None:
    result = windows(START + 30 * DAY, START + 10 * DAY)
    assert result.window == Window(since=START + 10 * DAY, until=START + 30 * DAY)
    assert result.labelled == Window(since=START + 9 * DAY, until=START + 29 * DAY)
    assert windows(START + 30 * DAY, START - 10 * DAY).window.since == START  # what the champion has seen is no test


@pytest.mark.parametrize(("rows", "days", "taken"), [(100, 7, 1), (24, 14, 2), (10, 21, 3), (1, 59, 9)])
def test_a_window_with_too_few_labels_takes_earlier_ones_in(rows: int, days: int, taken: int) -> None:
    result = windows(START + 60 * DAY)
    window, count = result.reach_back(daily(rows, result.labelled.until), 200)
    assert window.until == result.labelled.until
    assert window.since == result.labelled.until - days * DAY
    assert count == taken


def test_rows_that_the_champion_was_trained_on_are_never_taken_in() -> None:
    result = windows(START + 5 * DAY)
    assert result.reach_back(daily(1, result.labelled.until), 200) == (result.labelled, 1)
    assert result.reach_back(pd.Series([], dtype="datetime64[us, UTC]"), 200) == (result.labelled, 1)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Forty days of answers, ten a day, of which those of version 1 have labels a day later."""
    monkeypatch.setenv("EVERFIT_WORKSPACE", str(tmp_path))
    folder = tmp_path / "small"
    rows = answered("2024-03-01", 400, days=40)
    log_answers(folder, rows)
    log_answers(folder, answered("2024-03-20", 100, seed=1, days=20), version=2)
    log_labels(folder, rows)
    return folder


def test_the_champions_own_labelled_rows_are_taken_in(log: Path) -> None:
    until = START + 40 * DAY
    spec = a_spec(columns={"event_time": EVENT_TIME}, maturity="1d", monitoring={"window": "7d"})
    champion = ChampionAt(model="small", version=1, run_id="r", released=START)
    version = ModelVersion(model="small", version=1, run_id="r", trained_until=START)
    monitored = MonitoredModel(Context(spec, Settings()), until, champion, version, (), ())
    assert monitored.labelled_window.since == until - 22 * DAY
    assert monitored.labelled_windows == 3


def test_rows_with_mature_labels_are_counted_since_the_champion_and_since_the_last_turn(log: Path) -> None:
    from everfit.tasks.storage.tables import Table

    rows = answered("2024-03-01", 400, days=40)
    until = START + 30 * DAY
    unseen, learned = Window(since=START + 10 * DAY, until=until - DAY), START + 20 * DAY
    tables = [Table(str(log / name)) for name in ("predictions", "labels")]
    result = labels_signal(*tables, unseen, learned, event_time=EVENT_TIME, until=until, task="binary")
    at = rows[EVENT_TIME]
    assert result.unseen_rows == int(((at >= unseen.since) & (at < unseen.until)).sum())
    assert result.new_rows == int(((at >= learned) & (at < unseen.until)).sum())
    assert result.unseen == unseen
    within = rows[(at >= unseen.since) & (at < unseen.until)]
    assert result.rarest_rows == within["label"].value_counts().min()
    other = labels_signal(*tables, unseen, learned, event_time=EVENT_TIME, until=until, task="regression")
    assert other.rarest_rows is None
