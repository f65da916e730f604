"""A window of the prediction log is judged by the log's own rhythm, and by the dataset's while the log is short."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.logs import EVENT_TIME, log_answers

from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.signals.rhythm import LogRhythm, read_rhythm
from everfit.tasks.storage.tables import Table

FIRST = datetime(2024, 5, 20, tzinfo=UTC)
"""A Monday."""
WEEKS = 10
UNTIL = FIRST + timedelta(weeks=WEEKS)


@pytest.fixture(scope="module")
def answers() -> pd.DataFrame:
    """Ten weeks of answers, 30 an hour by day, 3 at night, a tenth of it on Sundays."""
    random = np.random.default_rng(1)
    hours = pd.date_range(FIRST, UNTIL, freq="h", inclusive="left")
    mean = np.where((hours.hour >= 7) & (hours.hour < 19), 30.0, 3.0) * np.where(hours.dayofweek == 6, 0.1, 1)
    at = np.repeat(hours, random.poisson(mean)) + pd.to_timedelta(random.integers(0, 3_600), unit="s")
    count = len(at)
    return pd.DataFrame(
        {
            "id": [str(number) for number in range(count)],
            EVENT_TIME: at.as_unit("us"),
            "distance": random.uniform(0, 10, count),
            "region": random.choice(["north", "south"], count),
            "score": random.uniform(size=count),
        }
    )


def _read(log: Table, dataset: Table | None = None, since: datetime | None = None) -> LogRhythm:
    since = since or UNTIL - timedelta(days=7)
    window = Window(since=since, until=UNTIL)
    return read_rhythm(log, dataset, window, EVENT_TIME, released=FIRST, columns=["distance", "region"])


def test_a_usual_week_with_its_quiet_sunday_has_no_gap(tmp_path: Path, answers: pd.DataFrame) -> None:
    rhythm = _read(log_answers(tmp_path, answers))
    assert rhythm.volume.weeks == WEEKS - 1
    assert rhythm.volume.unusual == ()
    assert rhythm.values == ()
    in_week = (answers[EVENT_TIME] >= UNTIL - timedelta(days=7)).sum()
    assert rhythm.expected == pytest.approx(in_week, rel=0.1)


def test_a_lost_afternoon_and_a_lost_column_are_found(tmp_path: Path, answers: pd.DataFrame) -> None:
    monday = UNTIL - timedelta(days=7)
    lost = answers[EVENT_TIME].between(monday + timedelta(hours=11), monday + timedelta(hours=19))
    rows = answers[~lost].reset_index(drop=True)
    empty = rows[EVENT_TIME] >= UNTIL - timedelta(days=4)
    rows.loc[empty & (rows[EVENT_TIME] < UNTIL - timedelta(days=3)), "region"] = None
    rhythm = _read(log_answers(tmp_path, rows))
    (gap,) = rhythm.volume.unusual
    assert gap.few
    assert gap.summary.startswith("0 rows on Monday 2024-07-22 1")
    (values,) = rhythm.values
    assert values.summary.startswith("region: 100% of the values are missing on Thursday 2024-07-25")


def test_a_log_that_ends_is_a_gap(tmp_path: Path, answers: pd.DataFrame) -> None:
    rows = answers[answers[EVENT_TIME] < UNTIL - timedelta(days=3)]
    days = {f"{gap.since:%A}" for gap in _read(log_answers(tmp_path, rows)).volume.unusual}
    assert days & {"Friday", "Saturday"}, "no freshness bound is needed for rows that stop"


def test_rows_that_always_come_a_day_late_are_not_missing_yet(tmp_path: Path, answers: pd.DataFrame) -> None:
    rows = answers[answers[EVENT_TIME] < UNTIL - timedelta(days=1)]
    log = log_answers(tmp_path, rows, predicted_at=rows[EVENT_TIME].dt.floor("D") + pd.Timedelta("23h"))
    assert _read(log).volume.unusual == ()


def test_an_afternoon_that_lacks_in_a_weekly_batch_is_found_though_the_history_was_scored_at_once(
    tmp_path: Path, answers: pd.DataFrame
) -> None:
    """Given seven weeks that were scored at once, and a batch a week since, when half a Monday lacks, it is a gap."""
    monday = UNTIL - timedelta(days=7)
    rows = answers[~answers[EVENT_TIME].between(monday + timedelta(hours=11), monday + timedelta(hours=19))]
    began = FIRST + timedelta(weeks=7)
    weeks = np.ceil((rows[EVENT_TIME] - began) / pd.Timedelta(days=7)).clip(lower=0)
    batches = pd.Timestamp(began) + weeks * pd.Timedelta(days=7)

    (gap,) = _read(log_answers(tmp_path / "all", rows, predicted_at=batches)).volume.unusual
    assert gap.summary.startswith("0 rows on Monday 2024-07-22 1")

    # The days after the last batch are not missing before the next one is due.
    early = rows[rows[EVENT_TIME] < monday]
    known = batches[rows[EVENT_TIME] < monday]
    assert _read(log_answers(tmp_path / "early", early, predicted_at=known)).volume.unusual == ()


def test_a_short_log_is_expected_by_the_rhythm_of_the_dataset(tmp_path: Path, answers: pd.DataFrame) -> None:
    sunday = UNTIL - timedelta(days=1)
    dataset = log_answers(tmp_path / "dataset", answers[answers[EVENT_TIME] < UNTIL - timedelta(days=7)])
    log = log_answers(tmp_path / "log", answers[answers[EVENT_TIME] >= UNTIL - timedelta(days=7)])
    rhythm = _read(log, dataset, sunday)
    assert not rhythm.volume.learnt
    on_sunday = (answers[EVENT_TIME] >= sunday).sum()
    assert rhythm.expected == pytest.approx(on_sunday, rel=0.35)
    assert _read(log, None, sunday).expected is None
