"""Live quality of each kind of model: against the hold-out, in money, by group, estimated, beside the one before."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from support.logs import EVENT_TIME
from support.training import a_spec

from everfit.blocks.errors import DataError
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.holdout import baseline_of
from everfit.tasks.monitoring.signals.live_estimate import came_true, can_estimate, estimate_signal, fit_estimator
from everfit.tasks.monitoring.signals.mature_quality import more_labels, quality_signal
from everfit.tasks.monitoring.signals.previous_champion import previous_signal
from everfit.tasks.monitoring.signals.quality import realised
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions

START = pd.Timestamp("2024-03-01", tz="UTC")
CLASSES = {"binary": ("0", "1"), "multiclass": ("cold", "mild", "warm"), "regression": ()}
TASKS = list(CLASSES)


def answers(
    task: str, rows: int = 2_000, seed: int = 0, *, lost: float = 0.0, labelled: float = 1.0
) -> LabelledPredictions:
    """A model that knows its chances; `lost` is the share of labels that came out otherwise."""
    random = np.random.default_rng(seed)
    x = random.normal(size=rows)
    columns: dict[str, Any] = {EVENT_TIME: START + pd.to_timedelta(np.sort(random.uniform(0, 28, rows)), unit="D")}
    columns |= {"x": x, "group": random.choice(["a", "b"], rows)}
    other = random.random(rows) < lost
    if task == "regression":
        columns |= {"_prediction": x, "_label": pd.Series(np.where(other, -3 * x, x) + random.normal(size=rows))}
    else:
        logits = np.column_stack([np.zeros(rows), 2 * x, *([-2 * x] if task == "multiclass" else [])])
        chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        drawn = (random.random((rows, 1)) > chances.cumsum(axis=1)).sum(axis=1)
        drawn = np.where(other, chances.argmin(axis=1), drawn)
        columns |= {"_score": chances[:, 1]} if task == "binary" else {"_probabilities": list(chances)}
        columns |= {"_label": pd.Series(np.array(CLASSES[task], dtype=object)[drawn])}
    frame = pd.DataFrame(columns)
    frame["_label"] = frame["_label"].where(random.random(rows) < labelled)
    window = Window(since=START.to_pydatetime(), until=(START + timedelta(days=28)).to_pydatetime())
    return LabelledPredictions(window, frame, EVENT_TIME, task, CLASSES[task])  # type: ignore[arg-type]


def spec_of(task: str, **more: Any) -> ModelSpec:
    return a_spec(task, {"protected": ["group"]}, **more)


def test_slices_count_days_where_rows_of_a_day_depend_on_each_other() -> None:
    # Given a model that is wrong on whole days, a few before and some more now,
    def on_days(found: LabelledPredictions, few: int) -> LabelledPredictions:
        rows = found.rows.copy()
        bad = np.isin(found.days, np.unique(found.days)[-few:])
        rows["_prediction"] = np.where(bad, 4 * rows["_prediction"], rows["_prediction"])
        return LabelledPredictions(found.window, rows, found.event_time, found.task, found.classes)

    holdout, live = on_days(answers("regression"), 3), on_days(answers("regression", seed=1), 7)
    spec = spec_of("regression")
    baseline = baseline_of(holdout, spec)
    found = quality_signal(live, baseline, spec, usual=1.0, holdout=holdout)
    by_rows = realised(holdout.truth, holdout.scores, spec.metric)
    assert found.lost_slices == ()
    assert baseline.standard_error > 2 * by_rows.standard_error


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_quality_is_what_it_was_and_a_loss_shows(task: str) -> None:
    spec, holdout = spec_of(task), answers(task)
    baseline = baseline_of(holdout, spec)
    assert baseline.spread is not None

    same, lost = (
        quality_signal(answers(task, seed=1, lost=share), baseline, spec, usual=1.0, holdout=holdout)
        for share in (0.0, 0.5)
    )

    assert same.status == lost.status == "measured"
    assert same.value == pytest.approx(baseline.value, abs=5 * (same.standard_error or 0))
    assert abs((lost.value or 0) - baseline.value) > 5 * (lost.standard_error or 1)
    assert same.lost_slices == ()
    assert lost.lost_slices == ("group=a", "group=b")
    assert same.value_per_row is None


def test_each_slice_is_measured_with_what_was_expected_and_the_worst_that_is_no_loss() -> None:
    gate = {"slices": {"columns": ["x"], "max_loss": 0.1}}
    spec, holdout = spec_of("regression", gate=gate), answers("regression")
    found = quality_signal(answers("regression", seed=1), baseline_of(holdout, spec), spec, usual=1.0, holdout=holdout)

    names = [one.name for one in found.slices]
    assert [name for name in names if name.startswith("group")] == ["group=a", "group=b"]
    quarters = [name.removeprefix("x=") for name in names if name.startswith("x=")]
    assert len(quarters) == 4
    assert sum("below" in name or "or more" in name for name in quarters) == 2
    assert sum(one.rows for one in found.slices if one.name.startswith("x=")) == 2_000
    for one in found.slices:
        assert one.value == pytest.approx(one.expected, abs=5 * one.standard_error)
        assert one.bound > one.expected  # an error is worse the larger it is
    assert not found.lost_slices


@pytest.mark.parametrize("task", TASKS)
def test_few_labels_or_none_are_not_enough(task: str) -> None:
    spec, holdout = spec_of(task), answers(task)
    baseline = baseline_of(holdout, spec)
    few = quality_signal(answers(task, 120, seed=1), baseline, spec, usual=None, holdout=holdout)
    none = quality_signal(answers(task, labelled=0), baseline, spec, usual=None, holdout=holdout)
    empty = quality_signal(answers(task).of(np.zeros(2_000, dtype=bool)), baseline, spec, usual=None, holdout=holdout)
    assert [item.status for item in (few, none, empty)] == ["not_enough"] * 3
    assert "200 are needed" in few.reason
    assert none.coverage == 0


def test_scores_that_cannot_be_read_are_no_lack_of_rows() -> None:
    spec, holdout = spec_of("binary"), answers("binary")
    broken = answers("binary")
    broken.rows.loc[3, "_score"] = np.nan
    with pytest.raises(DataError, match="have no '_score'"):
        quality_signal(broken, baseline_of(holdout, spec), spec, usual=None, holdout=holdout)


def test_what_a_row_was_worth_has_an_interval() -> None:
    value = {"true_positive": 4, "false_positive": -1, "unit": "EUR"}
    spec, holdout = spec_of("binary", training={"business_value": value}), answers("binary")
    baseline = baseline_of(holdout, spec)

    same, lost = (
        quality_signal(answers("binary", seed=1, lost=share), baseline, spec, usual=1.0, holdout=holdout, threshold=0.2)
        for share in (0.0, 0.5)
    )

    truth, acted = holdout.truth, holdout.scores >= 0.2
    assert same.baseline_value_per_row == pytest.approx(np.where(acted, np.where(truth == 1, 4, -1), 0).mean())
    assert same.value_interval is not None
    assert same.value_interval[0] < same.baseline_value_per_row < same.value_interval[1]
    assert lost.value_interval is not None
    assert lost.value_interval[1] < same.baseline_value_per_row
    assert lost.value_unit == "EUR"


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_quality_is_estimated_and_the_estimate_is_held_against_what_came_true(task: str) -> None:
    metric = {"regression": "mae"}.get(task)
    spec = spec_of(task, training={"metric": metric} if metric else {})
    holdout, rest = answers(task, 4_000), answers(task, seed=1)
    estimator, baseline = fit_estimator(holdout, spec, ["x"]), baseline_of(holdout, spec)

    result = estimate_signal(estimator, rest, baseline, spec, ())
    past = came_true(estimator, rest, spec, rest.window.until)
    wrong = came_true(estimator, answers(task, seed=2, lost=0.5), spec, rest.window.until)

    assert result.status == "measured"
    assert result.value == pytest.approx(baseline.value, abs=4 * (result.standard_error or 0))
    assert past is not None
    assert past.came_true
    assert wrong is not None
    assert not wrong.came_true  # a change of the concept can't be seen without labels, and is remembered
    few = rest.of(np.arange(2_000) < 50)
    assert estimate_signal(estimator, few, baseline, spec, ()).status == "not_enough"
    assert came_true(estimator, few, spec, rest.window.until) is None


def test_a_metric_that_cannot_be_estimated_is_known() -> None:
    assert can_estimate("roc_auc")
    assert can_estimate("mae")
    assert not can_estimate("r2")


@pytest.mark.parametrize("task", TASKS)
def test_the_champion_before_is_better_when_it_is(task: str) -> None:
    spec, mature = spec_of(task), answers(task, lost=0.6)
    better = -mature.scores if task == "regression" else 1 - mature.scores
    better = better / better.sum(axis=1, keepdims=True) if task == "multiclass" else better
    result = previous_signal(mature, better, 3, spec, knows=CLASSES[task])
    assert (result.status, result.version) == ("measured", 3)
    assert result.gain is not None
    assert result.gain > 0
    assert previous_signal(mature.of(np.arange(2_000) < 50), better[:50], 3, spec, knows=()).status == "not_enough"


def test_labels_that_stop_are_missed_though_earlier_windows_are_taken_in() -> None:
    spec, holdout = spec_of("binary"), answers("binary")
    result = answers("binary", seed=1)
    at = result.rows[result.event_time]
    newest = Window(since=at.quantile(0.8).floor("s").to_pydatetime(), until=result.window.until)
    result.rows.loc[at >= newest.since, "_label"] = None
    baseline = baseline_of(holdout, spec)
    taken = quality_signal(result, baseline, spec, usual=0.97, holdout=holdout, windows=5, newest=newest)
    assert taken.lacks_labels
    assert taken.rows > spec.monitoring.min_labels
    assert "5 windows are taken together" in taken.reason


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (0.0102, "roc_auc is known to ±0.02 by 500 labels; ±0.01 needs about 1,999"),
        (0.03, "roc_auc is known to ±0.059 by 500 labels; ±0.01 needs more rows than the 3,000 of this window"),
        (0.004, "roc_auc is known to ±0.0078 by 500 labels"),
    ],
)
def test_how_many_labels_are_enough_is_said(error: float, words: str) -> None:
    assert more_labels("roc_auc", 0.8, error, labelled=500, rows=3_000) == words


@pytest.mark.slow
def test_labels_of_the_queue_are_helped_by_the_answers_to_all_rows() -> None:
    spec, holdout = spec_of("binary", training={"metric": "brier"}), answers("binary", rows=4_000)
    rest = answers("binary", seed=1, rows=4_000)
    random = np.random.default_rng(0)
    chosen = random.random(len(rest.rows)) < 0.1
    rows = rest.rows.assign(_label=rest.rows["_label"].where(chosen), _inclusion=np.where(chosen, 0.1, np.nan))
    queued = replace(rest, rows=rows)
    baseline, estimator = baseline_of(holdout, spec), fit_estimator(holdout, spec, ["x"])
    measured = [
        quality_signal(queued, baseline, spec, usual=None, holdout=holdout, estimator=by) for by in (None, estimator)
    ]
    truth = quality_signal(rest, baseline, spec, usual=None, holdout=holdout).value

    alone, helped = measured
    assert alone.value is not None
    assert helped.value is not None
    assert truth is not None
    assert helped.standard_error is not None
    assert alone.standard_error is not None
    assert helped.standard_error < alone.standard_error
    assert abs(helped.value - truth) < 2 * helped.standard_error
    assert "more exact and move it by" in helped.reason
    assert "is known to ±" in helped.reason
    assert "more exact" not in alone.reason
