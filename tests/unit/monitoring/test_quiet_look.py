"""A look may end at once if nothing is new, and never for longer than a day."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from support.triage import decide, signals, week

from everfit.tasks.monitoring.quiet_look import nothing_is_new
from everfit.tasks.monitoring.triage_history import JudgedWindow, LookBasis
from everfit.tasks.triage.signals import DataSignal, DriftSignal

UNTIL, HOUR = week(0).until, timedelta(hours=1)
BASIS = LookBasis(tables={"predictions": 3, "labels": 5}, spec="digest", release=1)


def judged(basis: LookBasis | None = BASIS, **changes: Any) -> JudgedWindow:
    evidence = signals(**changes)
    return JudgedWindow(signals=evidence, decision=decide(evidence), basis=basis)


def quiet(last: JudgedWindow | None, *, hours: float = 1, days: int = 7, **changes: Any) -> bool:
    basis = BASIS.model_copy(update=changes)
    return bool(nothing_is_new([] if last is None else [last], basis, UNTIL + hours * HOUR, timedelta(days=days)))


def test_without_anything_new_a_look_ends_at_once_for_a_day() -> None:
    assert quiet(judged())
    assert quiet(judged(), hours=23)
    assert not quiet(judged(), hours=24)


@pytest.mark.parametrize(
    "changes",
    [
        {"tables": {"predictions": 4, "labels": 5}},
        {"tables": {"predictions": 3, "labels": 6}},
        {"spec": "another"},
        {"release": 2},
        {"pending": "metrics of users are read"},
        {"hours": 0},
        {"hours": -1},
        {"hours": 2, "days": 0},
    ],
)
def test_with_anything_new_it_measures(changes: dict[str, Any]) -> None:
    assert not quiet(judged(), **changes)


def test_after_a_look_that_found_something_or_failed_it_measures() -> None:
    assert not quiet(None)
    assert not quiet(judged(basis=None))  # of an earlier version
    assert not quiet(judged(drift=DriftSignal(status="failed", reason="no disk")))
    silent = DataSignal(status="measured", rows=0, expected_rows=2_000, asked=True, quiet=timedelta(days=7))
    assert not quiet(judged(data=silent))


def at(moment: datetime, news: int) -> JudgedWindow:
    """A look of a moment at which so many batches had come."""
    look = judged(BASIS.model_copy(update={"tables": {"predictions": news, "labels": 5}}))
    window = look.decision.window.model_copy(update={"until": moment})
    return look.model_copy(update={"decision": look.decision.model_copy(update={"window": window})})


@pytest.mark.parametrize(
    ("came", "calm_for"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], 1.25),  # each hour
        ([0, 1, 2, 10, 11, 12, 20, 21, 22], 10),  # and not at night
        ([0, 24, 48, 72, 96, 120, 144], 24),  # each night
        ([0, 1, 2, 3, 4, 16, 17], 1.25),  # an outage
        ([0, 1, 2, 3], 24),  # nobody knows
    ],
)
def test_a_feed_that_is_silent_for_longer_than_usual_is_measured(came: list[int], calm_for: float) -> None:
    looks = [at(UNTIL + (hour - came[-1]) * HOUR, news) for news, hour in enumerate([-50, *came])]
    basis = looks[-1].basis
    assert basis is not None
    for hours in (0.99 * calm_for, calm_for):
        found = nothing_is_new(looks, basis, UNTIL + hours * HOUR, timedelta(days=7))
        assert bool(found) is (hours < calm_for)
