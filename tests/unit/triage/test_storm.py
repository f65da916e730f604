"""A storm: 50 monitors at once, and hundreds of drift events, give one turn."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.training import a_spec

from everfit.blocks.settings import Settings
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger.requests import RequestOutcome
from everfit.tasks.monitoring.triage_history import TRIAGE, JudgedWindow
from everfit.tasks.steps import requests
from everfit.tasks.triage import TriageDecision, triage
from everfit.tasks.triage.case import TriagePolicy
from everfit.tasks.triage.history import History
from everfit.tasks.triage.quality_signals import Baseline, QualitySignal
from everfit.tasks.triage.signals import ChampionReference, DataSignal, DriftSignal, Signals
from everfit.tasks.turns.context import Context

UNTIL = datetime(2024, 6, 1, tzinfo=UTC)
WEEK = timedelta(days=7)
MONITORS = 50


@pytest.fixture
def context(workspace: Path) -> Context:
    here = Context(a_spec(), Settings())
    assert here.ledger.turns.of("small") == []
    return here


def judged(number: int, until: datetime = UNTIL) -> JudgedWindow:
    """A window that has lost quality; each monitor has measured a little otherwise."""
    window = Window(since=until - WEEK, until=until)
    base = Baseline(value=0.8, standard_error=0.005, rows=5_000, chance=0.5)
    released = UNTIL - 20 * WEEK
    signals = Signals(
        model="small",
        window=window,
        reference=ChampionReference(version=1, id="v1-reference", released=released, trained_until=released),
        data=DataSignal(status="measured", rows=1_000 + number, expected_rows=1_000),
        drift=DriftSignal(status="measured", drifted=True, columns=("x",)),
        quality=QualitySignal(
            status="measured",
            metric="roc_auc",
            window=window,
            rows=1_000 + number,
            value=0.6,
            standard_error=0.01,
            chance=0.5,
            baseline=base,
        ),
    )
    return JudgedWindow(signals=signals, decision=triage(signals, History(), TriagePolicy()))


def at_once(number: int, act: Callable[[int], RequestOutcome]) -> list[RequestOutcome]:
    """All of them begin at the same moment."""
    begin = threading.Barrier(number)

    def one(place: int) -> RequestOutcome:
        begin.wait(timeout=60)
        return act(place)

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def keep(context: Context, each: JudgedWindow) -> TriageDecision:
    decision = each.decision
    context.ledger.decisions.record(
        decision.id,
        model="small",
        kind=TRIAGE,
        verdict=decision.verdict,
        until=decision.window.until,
        reasons=decision.reasons,
        record=each,
    )
    return decision


@pytest.mark.slow
def test_monitors_at_once_that_measured_a_little_otherwise_give_one_turn(context: Context) -> None:
    result = at_once(MONITORS, lambda number: requests.request_for_decision(context, keep(context, judged(number))))

    [turn] = context.ledger.turns.of("small")
    assert sum(call.start for call in result) == 1
    assert len(context.ledger.decisions.of("small", kind=TRIAGE)) == MONITORS
    assert {call.reason for call in result if call.turn_id is None} == {f"turn {turn.id} is running"}


@pytest.mark.parametrize("events", [200, pytest.param(1_000, marks=pytest.mark.long)])
def test_many_events_of_one_drift_give_one_turn(context: Context, events: int) -> None:
    decision = keep(context, judged(0))
    per_thread = events // MONITORS

    def deliver(place: int) -> RequestOutcome:
        # Half of the events name the triage behind them, the others come from elsewhere, each with an id of its own.
        answers = []
        for number in range(place * per_thread, (place + 1) * per_thread):
            if number % 2:
                answers.append(requests.request_turn.fn(context, UNTIL, "drift", "the event", decision.id))
            else:
                trigger = Trigger(kind="drift", reason="the event", id=f"event-{number}")
                answers.append(requests.request_for_event(context, UNTIL, trigger))
        return next((answer for answer in answers if answer.start), answers[0])

    result = at_once(MONITORS, deliver)

    assert sum(call.start for call in result) == 1
    assert len(context.ledger.turns.of("small")) == 1


def test_after_an_outage_only_the_newest_window_calls(context: Context) -> None:
    windows = [keep(context, judged(0, UNTIL - number * WEEK)) for number in range(10)]
    result = at_once(10, lambda number: requests.request_for_decision(context, windows[number]))
    assert [call.start for call in result] == [True] + [False] * 9
