"""A trial with more answers than a look holds is measured on a draw of the keys and of the requests."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.logs import EVENT_TIME, answered, log_answers, log_labels

from everfit.blocks.trials import AbPolicy
from everfit.tasks.release.traffic.trial import TrialEvidence, TrialPlan, judge_trial, replay
from everfit.tasks.release.traffic.trial_evidence import read_evidence
from everfit.tasks.storage.tables import Table

SINCE = datetime(2024, 3, 1, tzinfo=UTC)
PLAN = TrialPlan(id="t", model="m", challenger=2, champion=1, policy=AbPolicy(), metric="roc_auc", since=SINCE)
MOST = "everfit.tasks.predictions.key_draw.MOST"


def look(log: Table, known: Table) -> TrialEvidence:
    return read_evidence(
        log,
        known,
        replay(PLAN, []),
        SINCE + timedelta(days=9),
        event_time=EVENT_TIME,
        task="binary",
        classes=lambda _: ("0", "1"),
        maturity=timedelta(days=1),
        champion=1,
    )


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Table, Table]:
    """4,000 requests of one row to each version, and one request of 500 rows that failed."""
    monkeypatch.setattr("everfit.tasks.storage.table_parts.PART_ROWS", 1_000)
    rows = answered("2024-03-01", 8_500, days=7)
    alone, together = rows[:8_000], rows[8_000:]
    seconds = pd.to_timedelta(np.arange(8_000), unit="s")
    moments = pd.Series(pd.Timestamp("2024-03-01", tz="UTC") + seconds)
    for version, arm in ((1, "champion"), (2, "challenger")):
        half = alone[version - 1 :: 2].reset_index(drop=True)
        log_answers(tmp_path, half, version, arm, moments[version - 1 :: 2].reset_index(drop=True), client="shop")
    # One latency for all rows of a request.
    failed = together.assign(score=0.5).reset_index(drop=True)
    log = log_answers(tmp_path, failed, 1, "fallback", "2024-03-05", client="shop")
    return log, log_labels(tmp_path, rows)


def test_what_fits_is_read_whole_and_of_more_a_draw_gives_about_the_same(
    tables: tuple[Table, Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = look(*tables)
    assert whole.drawn is None
    assert whole.steps[0].challenger_rows == 4_000
    assert whole.requests == 4_000 + whole.errors

    monkeypatch.setattr(MOST, 3_000)
    drawn = look(*tables)

    assert drawn.drawn == 0.25  # 3,000 of 8,500, a power of a half: the next look has the same keys
    assert drawn.steps[0].challenger_rows == pytest.approx(4_000, rel=0.1)  # computed from the draw
    assert drawn.timed == pytest.approx(1_000, rel=0.15)  # of the draw
    assert whole.steps[0].quality is not None
    assert drawn.steps[0].quality is not None
    assert drawn.steps[0].quality.challenger_rows < 0.4 * whole.steps[0].quality.challenger_rows
    assert drawn.steps[0].quality.challenger == pytest.approx(whole.steps[0].quality.challenger, abs=0.05)
    assert (
        judge_trial(replay(PLAN, []), drawn).reasons[-1] == "measured on a draw of 25 % of the keys and of the requests"
    )


def test_a_request_of_many_rows_is_drawn_as_one(tables: tuple[Table, Table], monkeypatch: pytest.MonkeyPatch) -> None:
    """By its keys, a fourth of its 500 rows would be there in each draw, and the request would always count."""
    rows = tables[0].read(None, EVENT_TIME)
    moment = rows.loc[rows["_arm"] == "fallback", "_predicted_at"]
    monkeypatch.setattr(MOST, 3_000)

    drawn = look(*tables)

    from everfit.tasks.predictions.drawn_answers import drawn_requests
    from everfit.tasks.predictions.key_draw import KeyDraw

    there = drawn_requests(moment.to_frame(), KeyDraw(0.25))
    assert there.all() or not there.any()
    assert bool(drawn.errors) == bool(there.any())
