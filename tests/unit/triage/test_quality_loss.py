"""What triage takes for a loss of quality, what it would win and cost to act on it."""

import pytest
from support.triage import HOLDOUT, SICK, attempt, decide, past, quality, signals, week

from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.triage import triage
from everfit.tasks.triage.case import TriagePolicy
from everfit.tasks.triage.history import History, PastQuality
from everfit.tasks.triage.quality_signals import Baseline


def test_small_losses_add_up_over_windows_but_not_across_a_gap_or_twice() -> None:
    lossy = PastQuality(window=week(0), metric="roc_auc", rows=2_000, loss=0.045, standard_error=0.012)
    before = [past(n, quality=lossy.model_copy(update={"window": week(n)})) for n in range(7)]
    now = signals(7, quality=quality(0.705, 7))
    assert decide(now).rule == "uncertain"
    result = decide(now, History(windows=tuple(before)))
    assert (result.verdict, result.rule) == ("retrain", "realised_loss")
    assert result.loss is not None
    assert result.loss.windows > 1
    early = tuple(item.model_copy(update={"window": week(n - 50)}) for n, item in enumerate(before))
    moved = tuple(
        item.model_copy(update={"quality": lossy.model_copy(update={"window": item.window})}) for item in early
    )
    assert decide(now, History(windows=moved)).rule == "uncertain"
    same = tuple(past(n, quality=lossy.model_copy(update={"window": week(7)})) for n in range(7))
    assert decide(now, History(windows=same)).rule == "uncertain"  # the same rows seen by overlapping windows


def test_a_loss_that_has_passed_is_not_acted_on() -> None:
    lossy = PastQuality(window=week(0), metric="roc_auc", rows=2_000, loss=0.15, standard_error=0.012)
    before = tuple(past(n, quality=lossy.model_copy(update={"window": week(n)})) for n in range(4, 7))
    assert decide(signals(7), History(windows=before)).verdict == "healthy"


def test_a_loss_that_is_certain_but_small_is_within_the_bound() -> None:
    # Given eight large windows that are all a little worse than a hold-out that is known exactly,
    sure = HOLDOUT.model_copy(update={"standard_error": 0.0001, "rows": 100_000_000})
    lossy = PastQuality(window=week(0), metric="roc_auc", rows=2_000, loss=0.022, standard_error=0.0001)
    before = tuple(past(n, quality=lossy.model_copy(update={"window": week(n)})) for n in range(7))
    now = signals(7, quality=quality(0.728, 7, standard_error=0.0001, baseline=sure))
    # when they are judged by a bound that they keep, then they are healthy, and by one that they don't, they aren't.
    assert decide(now, History(windows=before)).verdict == "healthy"
    strict = TriagePolicy(monitoring=MonitoringPolicy(max_loss=0.07))
    assert triage(now, History(windows=before), strict).verdict == "retrain"


def test_a_harder_window_is_no_loss_and_an_easier_one_no_excuse() -> None:
    base = Baseline(value=0.5, standard_error=0.01, rows=4_000, chance=1.0)
    facts = {"metric": "rmse", "baseline": base, "standard_error": 0.01}
    assert decide(signals(quality=quality(0.75, chance=1.5, **facts))).verdict == "healthy"
    assert decide(signals(quality=quality(0.75, chance=1.0, **facts))).verdict == "retrain"
    assert decide(signals(quality=quality(0.5, chance=0.6, **facts))).verdict == "healthy"


def test_windows_that_differ_by_nature_raise_no_alarm() -> None:
    # Given a year in which quality swings by far more than sampling explains,
    swings = [0.06 if n % 2 else -0.06 for n in range(30)]
    year = tuple(
        past(n, quality=PastQuality(window=week(n), metric="roc_auc", rows=50_000, loss=loss, standard_error=0.002))
        for n, loss in enumerate(swings)
    )
    # when a window is as bad as such windows are, then it is watched; the same in a steady year is a loss.
    now = signals(30, quality=quality(0.69, 30, rows=50_000, standard_error=0.002))
    assert decide(now, History(windows=year)).verdict == "watch"
    steady = tuple(item.model_copy(update={"quality": None}) for item in year)
    assert decide(now, History(windows=steady)).verdict == "retrain"


def test_what_a_model_made_of_broken_data_says_nothing_of_the_next_window() -> None:
    # Given a year in which a sensor broke every other week, and the data was known to be broken,
    swings = [0.3 if n % 2 else 0.0 for n in range(30)]
    year = tuple(
        past(
            n,
            verdict="quarantine" if n % 2 else "healthy",
            quality=PastQuality(window=week(n), metric="roc_auc", rows=2_000, loss=loss, standard_error=0.012),
        )
        for n, loss in enumerate(swings)
    )
    # then a real loss is acted on, and a week that is well is not blamed for what the broken ones lost.
    assert decide(signals(30, quality=SICK), History(windows=year)).verdict == "retrain"
    slightly = quality(0.705, 30)
    assert decide(signals(30, quality=slightly), History(windows=year)).verdict == "watch"


def test_the_reasons_tell_what_a_turn_would_win_and_cost() -> None:
    costs = {"value_per_metric_unit": 2.0, "unit": "EUR", "cost_per_hour": 60.0, "horizon": "70d"}
    turns = (
        attempt(-9, "promoted", helped=True, seconds=1_200.0),
        attempt(-8, "promoted", helped=True, seconds=2_400.0),
    )
    decision = decide(signals(quality=SICK), History(turns=turns), cost_benefit=costs)
    assert decision.cost == pytest.approx(30.0)
    assert decision.expected_gain == pytest.approx(0.1 * 2.0 * 2_100 * 10)
    assert decide(signals(quality=SICK)).expected_gain is None


def test_business_value_measured_on_the_rows_comes_before_the_metric() -> None:
    valued = quality(0.65, value_per_row=1.0, baseline_value_per_row=1.5)
    decision = decide(
        signals(quality=valued), cost_benefit={"value_per_metric_unit": 2.0, "horizon": "70d", "cost_per_turn": 1.0}
    )
    assert decision.expected_gain == pytest.approx(0.5 * 2_100 * 10)


def test_the_monitoring_policy_bounds_the_loss_in_its_unit() -> None:
    at = MonitoringPolicy(max_loss=0.2).loss_bound
    assert at(0.75, 0.5) == pytest.approx(0.05)
    assert MonitoringPolicy(max_loss=0.2, loss_unit="relative").loss_bound(0.75, 0.5) == pytest.approx(0.15)
    assert MonitoringPolicy(max_loss=0.2, loss_unit="absolute").loss_bound(0.75, 0.5) == pytest.approx(0.2)
