"""Hourly looks at a week see nearly the same rows: what counts windows counts those that are apart."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from support.triage import HOLDOUT, SICK, SIX, START, WEEK, attempt, broken, decide, past, quality, reference, signals

from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.signals.estimate import past_estimates
from everfit.tasks.monitoring.signals.mature_quality import usual_coverage
from everfit.tasks.monitoring.triage_history import JudgedWindow
from everfit.tasks.statistics.estimate_trust import PastEstimate
from everfit.tasks.triage import TriageDecision, triage
from everfit.tasks.triage.case import TriagePolicy, sign
from everfit.tasks.triage.history import History, PastQuality, PastWindow
from everfit.tasks.triage.non_overlapping import non_overlapping
from everfit.tasks.triage.quality_signals import QualitySignal
from everfit.tasks.triage.signals import DriftSignal

STEP = timedelta(hours=152)
"""Of hourly looks at a week the next one to count; they may share a tenth of it."""
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
STILL = DriftSignal(status="measured", drifted=False, share=0.0, prediction=False)


def look(ago: timedelta, span: timedelta = WEEK) -> Window:
    """A window that ends so long before `START`."""
    return Window(since=START - ago - span, until=START - ago)


def seen(ago: timedelta, span: timedelta = WEEK, **changes: object) -> PastWindow:
    window = look(ago, span)
    result = PastQuality(window=window, metric="roc_auc", rows=2_000, loss=0.0, standard_error=0.012)
    return past(0, **({"window": window, "quality": result} | changes))


def judge(windows: Sequence[PastWindow], drift: DriftSignal = SIX, span: timedelta = WEEK) -> TriageDecision:
    policy = TriagePolicy(monitoring=MonitoringPolicy(window=span))
    return triage(signals(window=look(0 * DAY, span), drift=drift), History(windows=tuple(windows)), policy)


def test_windows_are_apart_that_share_no_rows() -> None:
    hourly = [look(n * HOUR) for n in range(24 * 30)]
    assert non_overlapping(hourly, lambda each: each) == [look(n * WEEK) for n in range(5)]
    assert non_overlapping(hourly, lambda each: each, before=look(-HOUR)) == [
        look(n * WEEK - HOUR) for n in range(1, 5)
    ]
    months = [look(ago * DAY, 31 * DAY) for ago in (0, 30, 61, 89)]
    assert non_overlapping(months, lambda each: each) == [months[0], months[2]]
    assert non_overlapping(months, lambda each: each, shared=0.1) == months
    assert non_overlapping([look(HOUR), look(HOUR)], lambda each: each) == [look(HOUR)]


def test_drift_that_is_seen_again_an_hour_later_does_not_persist() -> None:
    hours = [seen(n * HOUR, drifted=True) for n in range(100, 0, -1)]
    assert judge(hours).rule == "uncertain"
    assert judge([seen(WEEK, drifted=True), *hours]).rule == "persistent_drift"
    on_drift = decide(signals(window=look(0 * DAY), drift=SIX), History(windows=tuple(hours)), on="drift")
    assert on_drift.verdict == "watch"


def test_weekly_and_monthly_looks_count_one_by_one() -> None:
    # In two of the newest three windows, whether these are weeks or calendar months of 31 days at most.
    for span, step in ((WEEK, WEEK), (31 * DAY, 30 * DAY)):
        newest, before, first = (seen(n * step, span, drifted=n == 1) for n in (1, 2, 3))
        assert judge([first, before, newest], span=span).rule == "persistent_drift"
        turned = [item.model_copy(update={"drifted": not item.drifted}) for item in (first, before, newest)]
        assert judge(turned, span=span).rule == "persistent_drift"
        assert judge(turned, STILL, span=span).verdict == "healthy"
        before = before.model_copy(update={"drifted": None})
        gone = first.model_copy(update={"drifted": True}), before, newest.model_copy(update={"drifted": False})
        assert judge(gone, span=span).rule == "persistent_drift"  # what could not be compared is passed over


def test_a_loss_is_acted_on_at_the_first_look_that_is_sure_of_it() -> None:
    hours = [seen(n * HOUR) for n in range(200, 0, -1)]
    now = signals(window=look(0 * DAY), quality=SICK.model_copy(update={"window": look(0 * DAY)}))
    assert decide(now, History(windows=tuple(hours))).verdict == "retrain"


def test_what_was_lost_is_won_back_after_four_weeks_and_not_after_four_hours() -> None:
    # Given a retraining that won back half, five weeks ago, and looks each hour since that found no loss,
    turn = attempt(0, "promoted", until=START - 5 * WEEK, reference="reference-2", level=HOLDOUT)
    half = quality(0.69, baseline=HOLDOUT.model_copy(update={"value": 0.69}), window=look(0 * DAY))
    now = signals(window=look(0 * DAY), quality=half, reference=reference(released=START - 5 * WEEK))

    def rule(windows: Sequence[PastWindow]) -> str:
        return decide(now, History(windows=tuple(windows), turns=(turn,))).rule

    hours = [seen(n * HOUR) for n in range(24 * 34, 0, -1)]
    assert rule(hours[-24 * 7 :]) == "unrecovered_loss"
    assert rule(hours) == "healthy"
    # A look in between that found the loss, or weeks whose data was broken, are no weeks without it.
    results = [*hours[:-100], hours[-100].model_copy(update={"signature": sign("loss", "roc_auc")}), *hours[-99:]]
    assert rule(results) == "unrecovered_loss"
    assert rule([hour.model_copy(update={"verdict": "quarantine"}) for hour in hours]) == "unrecovered_loss"


def judged(ago: timedelta, coverage: float, usual: float = 0.97, version: int = 3) -> JudgedWindow:
    covered = QualitySignal(
        status="not_enough", metric="roc_auc", window=look(ago + DAY), coverage=coverage, usual_coverage=usual
    )
    result = signals(window=look(ago), quality=covered, reference=reference(id=f"v{version}-x"))
    estimate = PastEstimate(until=START - ago, estimated=0.7, realised=coverage, standard_error=0.02)
    return JudgedWindow(signals=result, decision=triage(result, History(), TriagePolicy()), estimate=estimate)


def test_labels_that_stop_are_missed_against_what_was_usual_weeks_ago() -> None:
    # Given looks each hour, of which the last hundred saw ever fewer labels,
    hours = [judged(n * HOUR, min(0.97, 0.45 + 0.005 * n)) for n in range(24 * 21, 0, -1)]
    assert usual_coverage(hours, 0.5, look(DAY)) == pytest.approx(0.97)
    assert usual_coverage(hours[-100:], 0.5, look(DAY)) == 0.5  # all of the same week as is looked at


def test_windows_without_their_labels_are_never_what_is_usual() -> None:
    weeks = [judged(n * WEEK, 0.97 if n > 9 else 0.1) for n in range(12, 0, -1)]
    assert usual_coverage(weeks, None, look(DAY)) == pytest.approx(0.97)


def test_an_estimator_earns_its_trust_by_windows_that_are_apart() -> None:
    hours = [judged(n * HOUR, 0.7) for n in range(24 * 21, 0, -1)]
    assert [past_estimate.until for past_estimate in past_estimates(hours, 3)] == [
        START - HOUR - n * STEP for n in range(4)
    ]
    assert past_estimates(hours, 2) == []


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.long)])
def test_a_data_problem_lasts_when_it_is_seen_in_windows_that_are_apart_and_is_told_once_more_then(every: int) -> None:
    history, reported = History(), []
    policy = TriagePolicy(monitoring=MonitoringPolicy())
    for hour in range(0, 24 * 22, every):  # `STEP` is a multiple of these hours
        window = Window(since=START + hour * HOUR - WEEK, until=START + hour * HOUR)
        result = triage(signals(window=window, data=broken("frozen", "temp"), quality=SICK), history, policy)
        if result.notify:
            reported.append(hour)
        history = History(windows=(*history.windows, result.remembered))
    assert reported == [0, 2 * STEP / HOUR]
    assert any("this has lasted 4 windows" in reason for reason in result.reasons)
