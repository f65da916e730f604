"""How long labels take is watched, and early labels are weighted by how many of their kind are known."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.logs import EVENT_TIME, answered, log_answers, log_labels
from support.training import a_spec
from support.triage import decide, signals

from everfit.blocks.errors import NotEnoughError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.report.monitoring_report import window_json, window_page
from everfit.tasks.monitoring.signals.delays import delay_signal
from everfit.tasks.monitoring.signals.early_quality import early_quality
from everfit.tasks.monitoring.signals.quality import realised
from everfit.tasks.predictions import label_times
from everfit.tasks.predictions.label_times import is_deep, read_label_times
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.predictions.labels import LABEL_TIME
from everfit.tasks.triage.delay_signal import DelaySignal
from everfit.tasks.triage.early_signal import EarlySignal

NOW = pd.Timestamp("2024-05-01", tz="UTC")
DAY = pd.Timedelta("1D")


def spec_of(maturity: str, label_time: str | None = "known_at", **more: Any) -> ModelSpec:
    return a_spec("binary", {"label_time": label_time}, maturity=maturity, **more)


def labelled(delay: Callable[[np.random.Generator, int], Any], rows: int = 6_000, days: float = 60) -> pd.DataFrame:
    random = np.random.default_rng(1)
    events = pd.Series(NOW - pd.to_timedelta(random.uniform(0, days, rows), unit="D"))
    known = events + pd.to_timedelta(pd.Series(np.asarray(delay(random, rows), dtype=np.float64)), unit="D")
    return pd.DataFrame({EVENT_TIME: events, LABEL_TIME: known.where(known <= NOW)})


def measured(rows: pd.DataFrame, maturity: str) -> DelaySignal:
    return delay_signal(rows, spec_of(maturity), EVENT_TIME, NOW)


def test_a_maturity_that_has_become_too_short_is_said_with_its_figure() -> None:
    found = measured(labelled(lambda random, rows: random.exponential(5, rows)), "10d")

    assert found.days == pytest.approx(23, rel=0.1)
    assert found.late == pytest.approx(0.135, abs=0.03)
    assert found.too_short
    assert found.concerns == (found.warning,)
    assert "the maturity is too short: 99 % of the labels are known after" in found.warning
    assert f"set `maturity: {found.proposal}d`" in found.warning
    window = signals(delays=found)
    decision = decide(window)
    assert (decision.verdict, decision.reasons[0]) == ("watch", found.warning)
    assert found.warning in window_page(window, decision, "the run", has_report=False).replace("\\", "")
    assert window.numbers()["delays.days"] == found.days


@pytest.mark.slow
def test_a_kind_of_rows_whose_labels_mostly_come_late_is_a_note() -> None:
    rows = labelled(lambda random, count: random.exponential(1.5, count))
    north = np.random.default_rng(3).random(len(rows)) < 0.1
    slow = pd.to_timedelta(np.random.default_rng(4).exponential(6, len(rows)), unit="D")
    late = (rows[EVENT_TIME] + slow).where(rows[EVENT_TIME] + slow <= NOW)
    rows["_label_time"] = rows["_label_time"].where(~north, late)
    rows["region"] = np.where(north, "north", "south")

    found = delay_signal(rows, spec_of("7d"), EVENT_TIME, NOW, ["region"])

    assert [one.name for one in found.segments] == ["region = north"]
    assert found.segments[0].late is not None
    assert found.segments[0].late == pytest.approx(np.exp(-7 / 6), abs=0.07)
    assert [note for note in found.notes if "region = north" in note]
    assert "region = north" in found.details
    assert DelaySignal.recall(found.model_dump(mode="json")) == found


def test_a_maturity_that_waits_without_need_is_a_note_that_changes_no_verdict() -> None:
    found = measured(labelled(lambda random, rows: np.full(rows, 3.0)), "14d")

    assert found.too_long
    assert not found.concerns
    decision = decide(signals(delays=found))
    assert decision.verdict == "healthy"
    assert decision.reasons[-1].startswith("the maturity is longer than needed: 99 % of the labels are known after 3 d")
    assert decision.reasons[-1].endswith("set `maturity: 3d`, and losses show earlier")
    content = window_json(signals(delays=found), decision, state="Healthy", run_id="", turn=None, call=None)
    assert content["signals"]["delays"]["days"] == 3


@pytest.mark.parametrize(
    ("delay", "days", "maturity"),
    [
        pytest.param(lambda random, rows: random.exponential(1.5, rows), 60, "7d", id="fits"),
        pytest.param(
            lambda random, rows: np.where(random.random(rows) < 0.7, 2.0, 40.0), 31, "30d", id="not followed for long"
        ),
        pytest.param(
            lambda random, rows: np.where(random.random(rows) < 0.3, 9_999.0, 6.0), 60, "7d", id="some never come"
        ),
    ],
)
def test_nothing_is_said_where_the_maturity_fits_or_nobody_knows(delay: Any, days: float, maturity: str) -> None:
    found = measured(labelled(delay, days=days), maturity)

    assert (found.too_short, found.too_long, found.warning, found.notes) == (False, False, "", ())
    assert "99 % of the labels are known after" in found.details


def test_labels_without_a_time_say_nothing() -> None:
    rows = labelled(lambda random, rows: np.full(rows, 9_999.0))
    assert delay_signal(rows, spec_of("7d", None), EVENT_TIME, NOW).status == "absent"
    with pytest.raises(NotEnoughError, match="0 labels have come with their time; 50 are needed"):
        measured(rows, "7d")


def test_the_first_time_of_a_label_counts_and_labels_asked_for_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = answered("2024-04-01", days=10)
    log = log_answers(tmp_path, rows)
    known = log_labels(tmp_path, rows[:200])
    log_labels(tmp_path, rows[:50].assign(label=1 - rows["label"][:50], known_at=rows["known_at"][:50] + 9 * DAY))
    window = Window(since=NOW - 40 * DAY, until=NOW)

    found = read_label_times(log, known, window, EVENT_TIME, NOW.to_pydatetime(), spec=spec_of("7d"))

    delays = (found[LABEL_TIME] - found[EVENT_TIME]).dropna()
    assert (len(found), len(delays)) == (300, 200)
    assert delays.max() == DAY

    monkeypatch.setattr(label_times, "MOST", 60)
    few = read_label_times(log, known, window, EVENT_TIME, NOW.to_pydatetime(), spec=spec_of("7d"))
    assert 20 <= len(few) <= 120
    assert set(few["_key"]) < set(found["_key"])


def test_a_client_that_sends_most_of_the_rows_does_not_say_how_late_labels_come(tmp_path: Path) -> None:
    rows, flood = answered("2024-04-01", 200, days=10), answered("2024-04-02", 1_800, days=9)
    log_answers(tmp_path, rows, client="shop")
    log = log_answers(tmp_path, flood, client="flood")
    log_labels(tmp_path, rows)
    known = log_labels(tmp_path, flood.assign(known_at=flood["known_at"] + 5 * DAY))
    window = Window(since=NOW - 40 * DAY, until=NOW)

    def late(**policy: Any) -> float:
        found = read_label_times(log, known, window, EVENT_TIME, NOW.to_pydatetime(), spec=spec_of("7d", **policy))
        return float((found[LABEL_TIME] - found[EVENT_TIME] > 2 * DAY).mean())

    assert late() == 0.9
    assert late(monitoring={"clients": {"max_share": 0.5}}) == pytest.approx(0.5, abs=0.05)


def test_older_rows_are_read_for_late_labels_once_in_half_a_maturity() -> None:
    looks = [NOW.to_pydatetime() + timedelta(days=number) for number in range(28)]
    deep = [is_deep(spec_of("14d"), looks[n - 1], looks[n]) for n in range(1, 28)]
    assert 3 <= sum(deep) <= 5
    assert not is_deep(spec_of("14d", monitoring={"label_delays": "ignore"}), looks[0], looks[-1])
    assert not is_deep(spec_of("14d", None), looks[0], looks[-1])


def early_world(seed: int) -> tuple[pd.DataFrame, LabelledPredictions, ModelSpec]:
    """Rows over 80 days whose positive labels are known sooner; the model knows its chances."""
    random, rows = np.random.default_rng(seed), 8_000
    events = pd.Series(NOW - pd.to_timedelta(random.uniform(0, 80, rows), unit="D"))
    x = random.normal(size=rows)
    score = 1 / (1 + np.exp(1.5 - 1.5 * x))
    y = (random.random(rows) < score).astype(int)
    delay = np.minimum(random.exponential(np.where(y == 1, 3, 7)), 19.9)
    known = events + pd.to_timedelta(pd.Series(delay), unit="D")
    frame = pd.DataFrame({EVENT_TIME: events, "_score": score, "_label": pd.Series(y).map(str)})
    frame[LABEL_TIME] = known.where(known <= NOW)
    frame["_label"] = frame["_label"].where(known <= NOW)
    window = Window(since=(NOW - 80 * DAY).to_pydatetime(), until=NOW.to_pydatetime())
    return (
        frame,
        LabelledPredictions(window, frame, EVENT_TIME, "binary", ("0", "1")),
        spec_of("20d", training={"metric": "log_loss"}),
    )


def test_early_labels_are_no_biased_sample_once_they_are_weighted() -> None:
    truth = 0.4333  # log loss of such a model, by numeric integration
    inside, plain, worlds = 0, [], 5
    for seed in range(worlds):
        times, answers, spec = early_world(seed)
        found = early_quality(answers, times, spec, NOW, timedelta(days=7))
        assert found.value is not None
        assert found.standard_error is not None
        assert found.window is not None
        inside += abs(found.value - truth) < 1.96 * found.standard_error
        at = answers.rows[EVENT_TIME]
        early = answers.of(((at >= found.window.since) & (at < found.window.until)).to_numpy()).with_labels()
        plain.append(realised(early.truth, early.scores, "log_loss", draws=100).value)
    assert inside >= worlds - 1
    assert np.mean(plain) > truth + 0.04  # positive labels, which are harder, are known sooner


def test_early_quality_is_shown_and_changes_no_verdict() -> None:
    times, answers, spec = early_world(3)
    found = early_quality(answers, times, spec, NOW, timedelta(days=7))

    assert found.least_known is not None
    assert found.least_known >= 0.3
    assert found.window is not None
    assert found.window.since is not None
    assert NOW - 20 * DAY <= pd.Timestamp(found.window.since) < pd.Timestamp(found.window.until) < NOW
    plain, beside = (decide(signals(**more)) for more in ({}, {"early": found.model_copy(update={"value": 0.5})}))
    assert (plain.verdict, plain.reasons) == (beside.verdict, beside.reasons)
    assert signals(early=found).numbers()["early.value"] == found.value
    assert "labels that are known before the maturity" in found.details
    assert EarlySignal().text == ""


def test_too_few_early_labels_or_none_are_not_enough() -> None:
    times, answers, spec = early_world(3)
    with pytest.raises(NotEnoughError, match="early labels in"):
        early_quality(answers.of(np.arange(8_000) < 300), times, spec, NOW, timedelta(days=7))
    with pytest.raises(NotEnoughError, match="no answered row has a mature label yet"):
        early_quality(answers, times.head(0), spec, NOW, timedelta(days=7))
    late = times.assign(**{LABEL_TIME: (times[EVENT_TIME] + 20 * DAY).where(times[EVENT_TIME] + 20 * DAY <= NOW)})
    with pytest.raises(NotEnoughError, match="fewer than 30% of the labels are known before the maturity"):
        early_quality(answers, late, spec, NOW, timedelta(days=7))
