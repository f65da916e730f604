"""Trials, by themselves: their tests hold over all looks, and a look decides what its evidence says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from everfit.blocks.errors import DataError
from everfit.blocks.trials import AbPolicy, CanaryPolicy
from everfit.tasks.release.traffic.traffic_split import TrafficSplit
from everfit.tasks.release.traffic.trial import (
    QualityGap,
    StepEvidence,
    TrialEvidence,
    TrialLook,
    TrialPlan,
    TrialState,
    judge_trial,
    replay,
    stopped_look,
)
from everfit.tasks.statistics.sequential import confidence_sequence, log_evidence_of_more

SINCE = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def plan(kind: str = "canary", **policy: Any) -> TrialPlan:
    made = AbPolicy(**policy) if kind == "ab" else CanaryPolicy(**policy)
    return TrialPlan(id="t", model="m", challenger=2, champion=1, policy=made, metric="accuracy", since=SINCE)


def evidence(state: TrialState, until: datetime, **found: Any) -> TrialEvidence:
    """Of a trial in which all goes well, but for what is given of its present step."""
    step = {"challenger_rows": 1000, "champion_rows": 1000, "labels": 0} | found.pop("step", {})
    windows = state.windows(until)
    steps = [StepEvidence(share=0.1, window=window, **step) for window in windows]
    return TrialEvidence.model_validate(
        {"until": until, "champion": 1, "requests": 1000, "timed": 1000, "slow_from_ms": 20.0, "steps": steps} | found
    )


def gap(gain: float, error: float = 0.01, rows: int = 1000) -> dict[str, Any]:
    made = QualityGap(
        challenger_rows=rows, champion_rows=rows, challenger=0.8 + gain, champion=0.8, gain=gain, standard_error=error
    )
    return {"labels": rows, "quality": made}


def test_bounds_that_are_looked_at_all_the_time_hold_the_truth_nearly_always() -> None:
    random = np.random.default_rng(0)
    missed = {0.0: 0, 0.03: 0}
    decided = {0.0: 0, 0.03: 0}
    for truth in missed:
        for _ in range(300):
            ours, theirs = random.random(4000) < 0.7 + truth, random.random(4000) < 0.7
            for rows in range(200, 4001, 100):
                a, b = ours[:rows].mean(), theirs[:rows].mean()
                error = np.sqrt((a * (1 - a) + b * (1 - b)) / rows)
                low, high = confidence_sequence(a - b, error, 2 * rows, alpha=0.05, tightest_at=4000)
                if not low <= truth <= high:
                    missed[truth] += 1
                    break
                if not low <= 0 <= high:
                    decided[truth] += 1
                    break
    assert missed[0.0] <= 15  # 5 % of 300
    assert missed[0.03] <= 15
    assert decided[0.03] > 100  # and yet it finds differences


def test_rates_that_are_looked_at_at_every_request_are_seldom_called_too_high() -> None:
    random = np.random.default_rng(1)

    def called(rate: float, runs: int = 400, rows: int = 1000) -> float:
        hits = (random.random((runs, rows)) < rate).cumsum(axis=1)
        return float((hits >= least).any(axis=1).mean())

    least, hits = [], 0
    for rows in range(1, 1001):
        while hits <= rows and log_evidence_of_more(min(hits, rows), rows, 0.01) < np.log(20):
            hits += 1
        least.append(hits)

    assert called(0.01) <= 0.05
    assert called(0.001) == 0
    assert called(0.05) > 0.95


def test_nonsense_is_refused() -> None:
    for hits, rows, bound in [(2, 1, 0.1), (-1, 1, 0.1), (0, 1, 0.0)]:
        with pytest.raises(DataError):
            log_evidence_of_more(hits, rows, bound)
    with pytest.raises(DataError):
        confidence_sequence(0.0, float("nan"), 10, alpha=0.05, tightest_at=10)


def test_a_canary_grows_step_by_step_and_is_released() -> None:
    state = replay(plan(shares=(0.1, 0.5)), [])
    looks: list[tuple[datetime, TrialLook]] = []

    def at(hours: float, **found: Any) -> TrialLook:
        nonlocal state
        until = SINCE + timedelta(hours=hours)
        made = judge_trial(state, evidence(state, until, **found))
        looks.append((until, made))
        state = replay(state.plan, looks[::-1])  # in whatever order the ledger gives them
        return made

    assert at(12).verdict == "wait"  # it bakes
    assert at(24, step={"challenger_rows": 10}).reasons[0].startswith("Gets 10 % of the keys, and has 10 predictions")
    assert at(25).verdict == "grow"
    assert (state.share, state.step_since) == (0.5, SINCE + timedelta(hours=25))
    assert at(30).verdict == "wait"
    assert at(60).reasons[0] == "Gets 50 % of the keys, and waits for 200 mature labels"
    assert at(61, step=gap(0.0)).verdict == "release"
    assert state.end is not None
    assert state.share == 0


@pytest.mark.parametrize(
    ("found", "verdict", "words"),
    [
        ({"errors": 100}, "return", "failed on 100 of 1,000 requests"),
        ({"errors": 12}, "wait", "must run"),
        ({"slow": 200}, "return", "200 of 1,000 requests took over 20 ms"),
        ({"slow": 55}, "wait", "must run"),
        ({"slow_from_ms": None, "timed": 0}, "wait", "must run"),
        ({"step": gap(-0.1)}, "return", "significantly worse"),
        ({"step": gap(-0.02)}, "wait", "must run"),
        ({"step": gap(-0.5) | {"labels": 30}}, "wait", "must run"),
        ({"champion": 3}, "return", "now it is version 3"),
        ({"champion": None}, "return", "now there is none"),
    ],
)
def test_a_fault_takes_the_challenger_back_and_chance_does_not(found: dict[str, Any], verdict: str, words: str) -> None:
    state = replay(plan(), [])
    made = judge_trial(state, evidence(state, SINCE + timedelta(hours=1), **found))

    assert made.verdict == verdict
    assert words in made.reasons[0]
    assert made.share == (0 if verdict == "return" else 0.05)
    assert made.superseded == ("champion" in found)


@pytest.mark.parametrize(
    ("step", "margin", "verdict"),
    [
        (gap(0.05), 0.0, "release"),
        (gap(0.01), 0.0, "wait"),
        (gap(-0.01), 0.0, "wait"),
        (gap(-0.05), 0.0, "return"),
        (gap(0.0), 0.05, "release"),
        (gap(-0.1), 0.05, "return"),
        ({}, 0.0, "wait"),
    ],
)
def test_an_ab_trial_ends_when_it_is_sure(step: dict[str, Any], margin: float, verdict: str) -> None:
    state = replay(plan("ab", margin=margin), [])

    assert judge_trial(state, evidence(state, SINCE + 8 * DAY, step=step)).verdict == verdict
    assert judge_trial(state, evidence(state, SINCE + DAY, step=step)).verdict == (
        "return" if verdict == "return" else "wait"
    )
    late = judge_trial(state, evidence(state, SINCE + 31 * DAY, step=step))
    assert late.verdict == ("release" if verdict == "release" else "return")  # not shown in time is not shown


def test_a_step_in_which_all_rows_were_easy_does_not_count_for_who_answered_more_of_them() -> None:
    # In the second step both arms are at 0.9, in the first at 0.6; the challenger answered mostly in the second.
    state = replay(plan(shares=(0.1, 0.5)), [])
    grown = TrialLook(verdict="grow", share=0.5, reasons=("",))
    state = replay(state.plan, [(SINCE + DAY, grown)])
    until = SINCE + 3 * DAY
    steps = tuple(
        StepEvidence(
            share=share,
            window=window,
            challenger_rows=ours,
            champion_rows=1000,
            labels=ours,
            quality=QualityGap(
                challenger_rows=ours,
                champion_rows=1000,
                challenger=level,
                champion=level,
                gain=0.0,
                standard_error=0.02,
            ),
        )
        for share, window, ours, level in zip((0.1, 0.5), state.windows(until), (100, 1000), (0.6, 0.9), strict=True)
    )
    result = TrialEvidence(until=until, champion=1, requests=1100, steps=steps)

    quality = judge_trial(state, result).checks[-1]

    assert quality.value == 0.0


def test_a_trial_that_a_person_stops_is_over() -> None:
    state = replay(plan(), [(SINCE + DAY, stopped_look("ann", "holidays"))])

    assert state.end is not None
    assert state.end.reasons == ("Returned by ann: holidays",)
    assert (
        replay(
            state.plan, [(SINCE + DAY, state.end), (SINCE + 2 * DAY, TrialLook(verdict="grow", share=1, reasons=("",)))]
        ).end
        == state.end
    )


def test_policies_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="do not grow"):
        CanaryPolicy(shares=(0.5, 0.2))
    with pytest.raises(ValueError, match="less than 1"):
        AbPolicy(share=1.0)


def test_a_key_keeps_its_arm_while_the_share_grows_and_gets_another_in_the_next_trial() -> None:
    keys = [str(key) for key in range(20_000)]

    def ours(trial: str, share: float) -> set[str]:
        arms = TrafficSplit(trial=trial, champion=1, share=share)
        return {key for key in keys if arms.routes_to_challenger(key)}

    assert ours("a", 0.1) < ours("a", 0.3)
    assert len(ours("a", 0.1)) == pytest.approx(2000, rel=0.1)
    assert len(ours("a", 0.3) & ours("b", 0.3)) == pytest.approx(1800, rel=0.1)
    assert ours("a", 0.0) == set()
