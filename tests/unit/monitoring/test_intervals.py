"""Intervals and sets have the true value as often as promised, and again after a drift."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from support.training import a_spec
from support.triage import decide, signals

from everfit.blocks.errors import NotEnoughError
from everfit.blocks.metrics import TaskKind
from everfit.blocks.serving import ServingPolicy
from everfit.tasks.core.answer_bounds import AnswerBounds
from everfit.tasks.core.records import Window
from everfit.tasks.monitoring.answer_bounds import HeldOutScores, row_scores
from everfit.tasks.monitoring.report.monitoring_report import window_page
from everfit.tasks.monitoring.signals.interval_coverage import interval_signal
from everfit.tasks.predictions.labelled_predictions import LabelledPredictions
from everfit.tasks.predictions.labels import INCLUSION, LABEL
from everfit.tasks.predictions.prediction_log import ABSTAINED, BOUND, PREDICTION, PROBABILITIES, SCORE
from everfit.tasks.scoring.certainty import CertaintyRules, certainty_of, said_of
from everfit.tasks.scoring.scores import Scores
from everfit.tasks.statistics.conformal import class_scores, conformal_bound, error_sizes
from everfit.tasks.triage.interval_signal import IntervalSignal

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
CLASSES: dict[TaskKind, tuple[str, ...]] = {"regression": (), "binary": ("no", "yes"), "multiclass": ("a", "b", "c")}


def answers(task: TaskKind, rows: int, random: np.random.Generator, day: int = 0, wild: float = 1.0) -> Any:
    """Answers of one day with labels: an error grows with the answer, and by `wild` against what the model knows."""
    x = random.uniform(0, 10, rows)
    since = BEGIN + timedelta(days=day)
    frame = pd.DataFrame({"at": pd.Timestamp(since) + pd.to_timedelta(np.arange(rows) / rows, unit="D")})
    if task == "regression":
        frame[PREDICTION], frame[LABEL] = x, x + random.normal(size=rows) * wild * (0.3 + x / 5)
    else:
        third = np.full(rows, -1.0) if task == "multiclass" else np.full(rows, -np.inf)
        logits = np.column_stack([np.zeros(rows), x - 5, third])
        known, real = (np.exp(one) / np.exp(one).sum(axis=1, keepdims=True) for one in (logits, logits / wild))
        truth = (random.random(rows)[:, None] > real.cumsum(axis=1)).sum(axis=1).clip(max=len(CLASSES[task]) - 1)
        frame[LABEL] = np.array(CLASSES[task])[truth]
        frame[SCORE] = known[:, 1]
        frame[PROBABILITIES] = list(known)
    window = Window(since=since, until=since + timedelta(days=1))
    return LabelledPredictions(window, frame, "at", task, CLASSES[task])


def together(before: LabelledPredictions | None, new: LabelledPredictions) -> LabelledPredictions:
    if before is None:
        return new
    rows = pd.concat([before.rows, new.rows], ignore_index=True)
    window = Window(since=before.window.since, until=new.window.until)
    return LabelledPredictions(window, rows, "at", new.task, new.classes)


def lived(task: TaskKind, seed: int, wild: list[float], rows: int = 300) -> tuple[list[float], list[AnswerBounds]]:
    """Live through days; gives the share of right answers of each, and the bounds after it."""
    random = np.random.default_rng(seed)
    held_out = HeldOutScores.of(answers(task, 1_000, random))
    bounds, live, covered, after = held_out.bounds(0.9), None, [], []
    for day, one in enumerate(wild):
        new = answers(task, rows, random, day, one)
        assert bounds.bound is not None
        covered.append(float(np.mean(row_scores(new, bounds.edges, bounds.scales) <= bounds.bound)))
        live = together(live, new)
        bounds = held_out.adapted(bounds, new, live, new.window.until)
        after.append(bounds)
    return covered, after


@pytest.mark.slow
@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_as_many_answers_as_promised_are_right_and_again_after_a_drift(task: TaskKind) -> None:
    lives = [lived(task, seed, [1.0] * 4 + [2.5] * 8) for seed in range(10)]
    covered = np.mean([one for one, _ in lives], axis=0)
    adapted = [bounds[-1] for _, bounds in lives]

    assert covered[:4] == pytest.approx(0.9, abs=0.02)  # 3,000 rows a day, and bounds of 500 or 1,000 each
    assert covered[4] < 0.8
    assert min(covered[7:]) > 0.88
    assert max(covered[7:]) < 0.96
    assert all(one.bound is not None and one.adapted_until == BEGIN + timedelta(days=12) for one in adapted)


def test_the_bound_is_the_exact_quantile_in_finite_samples() -> None:
    random = np.random.default_rng(0)
    right = []
    for _ in range(4_000):
        scores = random.exponential(size=20)
        bound = conformal_bound(scores[:19], 0.1)
        assert bound == np.sort(scores[:19])[17]
        right.append(scores[19] <= bound)
    assert np.mean(right) == pytest.approx(0.9, abs=0.015)
    assert conformal_bound(random.exponential(size=8), 0.1) is None
    assert conformal_bound(np.zeros(0), 0.1) is None
    # A row that was chosen with one chance in nine stands for nine.
    scores, weights = np.arange(40.0), np.r_[np.ones(36), np.full(4, 9.0)]
    assert conformal_bound(scores, 0.5) == 20
    assert conformal_bound(scores, 0.5, weights) == 36


def test_intervals_are_wider_where_errors_are_larger() -> None:
    found = HeldOutScores.of(answers("regression", 2_000, np.random.default_rng(0))).bounds(0.9)
    low, high = found.reach(1.0), found.reach(9.0)

    assert low is not None
    assert high is not None
    assert high > 2.5 * low
    assert found.rows == 1_000  # the other half says how large errors are
    assert error_sizes(np.zeros(300), np.zeros(300)) == ((0.0,), (1.0, 1.0))


def test_a_set_has_the_most_probable_class_and_those_that_are_not_excluded() -> None:
    chances = np.array([[0.6, 0.3, 0.1], [0.2, 0.45, 0.35]])

    assert class_scores(chances, np.array([0, 2])).tolist() == [0.0, 0.65]
    assert class_scores(chances, np.array([-1, 0])).tolist() == [1.0, 0.8]
    assert said_of("a", ("a", "b", "c"), chances[0].tolist(), 0.7) == ["a", "b"]
    assert said_of("a", ("a", "b", "c"), chances[0].tolist(), 0.0) == ["a"]
    assert said_of("a", ("a", "b", "c"), chances[0].tolist(), None) is None
    assert said_of(5.0, (), None, 1.5) == [3.5, 6.5]


def policy(**keys: Any) -> ServingPolicy:
    return ServingPolicy.model_validate(keys)


def test_answers_that_are_too_unsure_are_marked() -> None:
    chances = np.array([[0.6, 0.4], [0.1, 0.9], [0.3, 0.7]])
    scores = Scores(np.array(["no", "yes", "yes"]), chances[:, 1], chances)
    bounds = AnswerBounds(promised=0.9, miss_rate=0.1, bound=0.65, rows=100)
    of = certainty_of(scores, policy(abstain={"below": 0.7}), None)
    sets = certainty_of(scores, policy(intervals=0.9, abstain={"more_than_one_class": True}), bounds)

    assert (of.bounds, of.abstained) == (None, [True, False, False])
    assert (sets.bounds, sets.abstained) == ([0.65] * 3, [True, False, False])
    # Without bounds nobody knows whether the answers are sure.
    for usable in (None, bounds.model_copy(update={"bound": None}), bounds.model_copy(update={"promised": 0.95})):
        unknown = certainty_of(scores, policy(intervals=0.9, abstain={"more_than_one_class": True}), usable)
        assert (unknown.bounds, unknown.abstained) == ([None] * 3, [True] * 3)
    numbers = Scores(np.array([1.0, 9.0]), np.array([1.0, 9.0]), None)
    wider = bounds.model_copy(update={"bound": 2.0, "edges": (5.0,), "scales": (1.0, 3.0)})
    found = certainty_of(numbers, policy(intervals=0.9, abstain={"wider_than": 5}), wider)
    assert (found.bounds, found.abstained) == ([2.0, 6.0], [False, True])
    assert CertaintyRules().of(numbers, 1).columns() == {}


@pytest.mark.parametrize(
    ("task", "serving", "words"),
    [
        ("binary", {"abstain": {}}, "it has no rule"),
        ("binary", {"abstain": {"more_than_one_class": True}}, "need intervals"),
        ("regression", {"abstain": {"wider_than": 3}}, "need intervals"),
        ("binary", {"intervals": 0.9, "abstain": {"wider_than": 3}}, "wider_than is for a regression"),
        ("regression", {"intervals": 0.9, "abstain": {"below": 0.7}}, "a regression has no classes"),
        ("regression", {"intervals": 90}, "less than 1"),
    ],
)
def test_rules_that_contradict_the_spec_are_refused(task: str, serving: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        a_spec(task, release={"serving": serving})


def measured(new: LabelledPredictions, held_out: HeldOutScores, **bound: Any) -> IntervalSignal:
    before = held_out.bounds(0.9)
    rows = new.rows.assign(**{BOUND: [before.reach(one) for one in new.rows[PREDICTION]], **bound})
    given = LabelledPredictions(new.window, rows, "at", new.task, new.classes)
    return interval_signal(given, held_out, before, 100)


def test_coverage_that_is_surely_below_the_promise_is_told() -> None:
    random = np.random.default_rng(3)
    held_out = HeldOutScores.of(answers("regression", 8_000, random))
    well = measured(answers("regression", 2_000, random), held_out)
    lost = measured(answers("regression", 500, random, wild=2.0), held_out, **{ABSTAINED: [True] * 50 + [False] * 450})

    assert well.covered == pytest.approx(0.9, abs=0.02)
    assert well.concerns == ()
    assert lost.too_few
    assert lost.abstained == 0.1
    assert "of 500 intervals had the true value, and 0.9 was promised; mean width" in lost.concerns[0]
    assert lost.adapted is not None
    assert lost.adapted.bound is not None
    assert lost.adapted.bound > 1.5 * (held_out.bounds(0.9).bound or 0)
    window = signals(intervals=lost)
    decision = decide(window)
    assert (decision.verdict, decision.reasons[0]) == ("watch", lost.concerns[0])
    assert window.numbers()["intervals.covered"] == lost.covered
    assert "interval coverage" in window_page(window, decision, "the run", has_report=False)
    assert window.model_dump(mode="json")["intervals"]["promised"] == 0.9
    assert decide(signals(intervals=well)).verdict == "healthy"


def test_only_rows_whose_labels_are_new_adapt_the_bounds() -> None:
    random = np.random.default_rng(4)
    held_out = HeldOutScores.of(answers("regression", 1_000, random))
    first, second = (answers("regression", 300, random, day) for day in (0, 1))
    before = held_out.bounds(0.9).model_copy(update={"adapted_until": first.window.until})

    found = interval_signal(together(first, second), held_out, before, 100)
    assert found.window == second.window
    assert found.covered is None  # they were answered before intervals were switched on
    assert found.adapted is not None
    assert found.adapted.adapted_until == second.window.until
    with pytest.raises(NotEnoughError, match="0 labels have come since the last look; 100 are needed"):
        interval_signal(first, held_out, before, 100)


def test_labels_that_people_chose_count_by_their_chance() -> None:
    random = np.random.default_rng(5)
    held_out = HeldOutScores.of(answers("regression", 8_000, random))
    all_rows = answers("regression", 4_000, random)
    errors = (all_rows.rows[LABEL] - all_rows.rows[PREDICTION]).abs()
    chance = np.where(errors > errors.median(), 1.0, 0.2)  # large errors are asked for more often
    chosen = random.random(4_000) < chance
    rows = all_rows.rows.assign(**{INCLUSION: chance})[chosen].reset_index(drop=True)

    found = measured(LabelledPredictions(all_rows.window, rows, "at", "regression", ()), held_out)
    assert found.covered == pytest.approx(0.9, abs=0.02)
    unweighted = measured(
        LabelledPredictions(all_rows.window, rows.drop(columns=INCLUSION), "at", "regression", ()), held_out
    )
    assert (unweighted.covered or 1) < 0.87
