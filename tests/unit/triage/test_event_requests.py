"""Turns that events ask for: the ledger's limits hold for them as for those that triage calls for."""

from datetime import UTC, datetime, timedelta
from typing import Any

from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.triage.event_requests import EventRequest, admit_event
from everfit.tasks.triage.history import PastTurn
from everfit.tasks.triage.signals import CodeSignal

NOW = datetime(2024, 3, 1, tzinfo=UTC)
POLICY = RetrainingPolicy()


def turn(ago: timedelta, outcome: str = "promoted", kind: str = "event") -> PastTurn:
    return PastTurn.model_validate(
        {"turn_id": "t", "until": NOW - ago, "kind": kind, "signature": "", "reference": "", "outcome": outcome}
    )


def asked(kind: str = "event", **given: Any) -> EventRequest:
    return EventRequest.model_validate({"model": "flights", "kind": kind, "until": NOW, **given})


def test_the_first_data_of_all_starts_a_turn() -> None:
    assert admit_event(asked(), [], NOW, POLICY).admitted


def test_of_many_arrivals_within_the_cooldown_one_starts_a_turn() -> None:
    result = admit_event(asked(), [turn(timedelta(hours=1))], NOW, POLICY)
    assert not result.admitted
    assert "the next may start at" in result.reason
    assert admit_event(asked(), [turn(timedelta(hours=13))], NOW, POLICY).admitted


def test_while_a_turn_runs_none_is_started_and_one_that_died_is_in_nobodys_way() -> None:
    assert not admit_event(asked(), [turn(timedelta(hours=13), "running")], NOW, POLICY).admitted
    assert admit_event(asked(), [turn(timedelta(hours=1), "failed")], NOW, POLICY).admitted


def test_an_event_about_a_window_that_monitoring_is_past_starts_nothing() -> None:
    assert not admit_event(asked(), [turn(timedelta(days=9))], NOW + timedelta(days=1), POLICY).admitted


def test_merged_code_starts_a_turn_where_the_spec_says_so_and_something_has_changed() -> None:
    past, on = [turn(timedelta(days=9))], RetrainingPolicy(code=True)
    same, other = CodeSignal(status="measured"), CodeSignal(status="measured", changed=("the spec",))
    assert "retraining.code is off" in admit_event(asked("code", code=other), past, NOW, POLICY).reason
    assert "neither spec nor packages" in admit_event(asked("code", code=same), past, NOW, on).reason
    assert admit_event(asked("code", code=other), past, NOW, on).admitted
    assert admit_event(asked("code"), [], NOW, POLICY).admitted  # a model that was never trained


def test_merged_code_of_which_nobody_knows_what_it_changed_starts_a_turn() -> None:
    unknown = CodeSignal(status="not_enough", reason="the champion's run doesn't say what it was trained with")
    past, on = [turn(timedelta(days=9))], RetrainingPolicy(code=True)
    assert admit_event(asked("code", code=unknown), past, NOW, on).admitted
