"""A look may end at once if nothing is new, and never for longer than a day."""

from datetime import timedelta
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
    return bool(nothing_is_new(last, basis, UNTIL + hours * HOUR, timedelta(days=days)))


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
