"""A storm of requests gives one turn; cooldown, budget and outages are counted in event time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.triage.admission import Admission, TurnRequest, admit
from everfit.tasks.triage.history import PastTurn

NOW = datetime(2013, 9, 1, tzinfo=UTC)
DAY = timedelta(days=1)
WHERE = {"source": {"kind": "files", "path": "users.csv"}, "time": "at"}


def request(**changes: Any) -> TurnRequest:
    facts = {"model": "flights", "kind": "quality", "reference": "r3", "signature": "loss", "until": NOW}
    return TurnRequest(**(facts | changes))


def turn(until: datetime, **changes: Any) -> PastTurn:
    facts = {
        "turn_id": f"t-{until:%m%d}",
        "until": until,
        "kind": "quality",
        "signature": "loss",
        "reference": "r3",
        "outcome": "kept",
    }
    return PastTurn(**(facts | changes))


def ask(*turns: PastTurn, wanted: TurnRequest | None = None, now: datetime = NOW, **policy: Any) -> Admission:
    return admit(wanted or request(), turns, now, RetrainingPolicy(**policy))


def test_a_turn_that_nothing_stands_against_is_admitted() -> None:
    assert ask().admitted
    assert ask(turn(NOW - 7 * DAY)).admitted


@pytest.mark.parametrize("outcome", ["running", "awaiting_approval"])
def test_one_turn_at_a_time_even_when_a_person_asks(outcome: str) -> None:
    running = turn(NOW - 7 * DAY, outcome=outcome)
    assert ask(running).refused_by == "in_flight"
    assert ask(running, wanted=request(kind="manual")).refused_by == "in_flight"


def test_the_same_trouble_in_the_same_window_gives_one_turn() -> None:
    assert ask(turn(NOW)).refused_by == "duplicate"
    assert ask(turn(NOW), wanted=request(kind="manual")).refused_by == "duplicate"
    assert ask(turn(NOW, outcome="failed")).admitted  # what failed may be run again


def test_a_storm_of_a_thousand_requests_gives_one_turn() -> None:
    turns: list[PastTurn] = []
    kinds = ("quality", "drift", "event", "schedule", "new_data")
    for number in range(1_000):
        wanted = request(kind=kinds[number % 5], signature=f"s{number % 50}")
        if ask(*turns, wanted=wanted).admitted:
            turns.append(turn(NOW, signature=wanted.signature, kind=wanted.kind, outcome="running"))
        if number == 500:  # the turn ends in the middle of the storm
            turns = [item.model_copy(update={"outcome": "promoted"}) for item in turns]
    assert len(turns) == 1


def test_after_an_outage_only_the_newest_window_trains() -> None:
    windows = [NOW - n * 7 * DAY for n in range(9, -1, -1)]
    admitted = [until for until in windows if ask(wanted=request(until=until)).admitted]
    assert admitted == [NOW]
    old = ask(wanted=request(until=windows[0]))
    assert old.refused_by == "outdated_window"
    assert f"the newest window at {NOW.isoformat()}" in old.reason


def test_a_window_that_a_turn_has_learned_from_trains_no_other() -> None:
    other = turn(NOW, signature="schedule", kind="schedule")
    assert ask(other).refused_by == "outdated_window"
    assert ask(other, wanted=request(kind="manual")).admitted


def test_cooldown_keeps_turns_apart_but_holds_up_no_person() -> None:
    last = turn(NOW - timedelta(hours=6), signature="drift")
    refused = ask(last)
    assert refused.refused_by == "cooldown"
    assert f"the next may start at {(NOW + timedelta(hours=6)).isoformat()}" in refused.reason
    assert ask(last, cooldown="6h").admitted
    assert ask(last, wanted=request(kind="manual")).admitted
    assert ask(last.model_copy(update={"outcome": "failed"})).admitted


def test_the_budget_limits_turns_within_a_span() -> None:
    budget = {"turns": 3, "per": "30d"}
    spent = [turn(NOW - n * 7 * DAY) for n in (1, 2, 3)]
    refused = ask(*spent, budget=budget)
    assert refused.refused_by == "budget"
    assert (
        refused.reason == f"3 turns within 30d, and 3 are allowed; the next may start at {(NOW + 9 * DAY).isoformat()}"
    )
    assert ask(*spent[:2], turn(NOW - 31 * DAY), budget=budget).admitted
    assert ask(*spent[:2], turn(NOW - 21 * DAY, kind="manual"), budget=budget).admitted
    assert ask(*spent, wanted=request(kind="manual"), budget=budget).admitted
    assert ask(budget={"turns": 0}).refused_by == "budget"


def test_the_order_of_turns_makes_no_difference() -> None:
    turns = [turn(NOW - n * DAY) for n in (9, 1, 4)]
    assert ask(*turns, cooldown="2d") == ask(*reversed(turns), cooldown="2d")


@pytest.mark.parametrize(
    "policy",
    [
        {"new_data": {}},
        {"user_metrics": [{"metric": "accepted", **WHERE}]},
        {"user_metrics": [{"metric": "accepted", "at_least": 2, "at_most": 1, **WHERE}]},
        {"user_metrics": [{"metric": "accepted", "at_least": 2}]},
        {"schedule": "0d"},
        {"max_attempts": 0},
        {"on": "drfit"},
        {"cooldonw": "1d"},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(policy: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RetrainingPolicy(**policy)


def test_a_policy_reads_and_writes_like_a_spec() -> None:
    written = {"on": "drift", "schedule": "30d", "new_data": {"share": 0.2}, "budget": {"turns": 4, "per": "28d"}}
    policy = RetrainingPolicy(**written)
    assert RetrainingPolicy(**policy.model_dump(mode="json")) == policy
    assert policy.model_dump(mode="json")["schedule"] == "30d"


def test_a_waiting_challenger_may_be_judged_in_the_cooldown_and_beyond_the_budget() -> None:
    recent = tuple(turn(NOW - days * DAY, signature=f"s{days}") for days in (1, 2, 3))
    judging = request(kind="waiting", signature="waiting 3")

    assert ask(*recent, cooldown="7d").refused_by == "cooldown"
    assert ask(*recent, cooldown="7d", wanted=judging).admitted
    assert ask(*recent, cooldown="1d", budget={"turns": 3, "per": "30d"}).refused_by == "budget"
    assert ask(*recent, cooldown="1d", budget={"turns": 3, "per": "30d"}, wanted=judging).admitted


def test_a_judgement_in_vain_keeps_no_training_away() -> None:
    in_vain = turn(NOW - DAY, kind="waiting", outcome="other", signature="waiting 3")

    assert ask(in_vain, cooldown="7d").admitted
    assert ask(turn(NOW - DAY, outcome="other"), cooldown="7d").refused_by == "cooldown"
