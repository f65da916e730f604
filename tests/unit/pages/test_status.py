"""The state of a model at a moment, from what the ledger knows."""

from datetime import timedelta
from typing import Any

import pytest
from support.pages import DAY, SPRING, Life, measured
from support.triage import broken

from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.ledger import Ledger
from everfit.tasks.ledger.records import Decision
from everfit.tasks.ledger.schema import decisions
from everfit.tasks.pages.facts import read_model_facts
from everfit.tasks.pages.looks import look_of
from everfit.tasks.pages.model_status import ModelStatus
from everfit.tasks.pages.status import status_of
from everfit.tasks.pages.words import overview_lines, status_lines, worst_first
from everfit.tasks.triage.quality_signals import QualitySignal
from everfit.tasks.triage.signals import DriftSignal, ServiceHealthSignal


def state(life: Life, days: float = 30, **changes: Any) -> ModelStatus:
    return status_of(read_model_facts(life.ledger, life.model, SPRING + days * DAY, **changes))


@pytest.fixture
def life(ledger: Ledger) -> Life:
    life = Life(ledger)
    life.champion(1, SPRING)
    return life


def test_a_model_without_a_release_says_how_to_get_one(ledger: Ledger) -> None:
    life = Life(ledger)
    life.turn(SPRING, "failed", error="the source is empty")

    result = state(life)

    assert (result.state, result.champion, result.last_look) == ("no_champion", None, None)
    assert result.turn_summary == "failed: the source is empty"
    assert result.next == "Correct what the last turn names, then run `everfit train flights --reason WHY`."


def test_a_champion_without_a_look_is_not_called_fit(life: Life) -> None:
    result = state(life)

    assert result.state == "not_looked_at"
    assert result.champion_since == SPRING
    assert "everfit monitor flights" in result.next


def test_a_healthy_look_makes_it_fit_with_quality_and_interval(life: Life) -> None:
    life.look(SPRING + DAY, measured(0.74))

    result = state(life)

    assert (result.state, result.next) == ("fit", "")
    assert result.quality is not None
    assert (result.quality.value, result.quality.expected) == (0.74, 0.75)
    assert (result.quality.low, result.quality.high) == pytest.approx((0.74 - 1.96 * 0.012, 0.74 + 1.96 * 0.012))
    assert result.quality.bound == pytest.approx(0.725)
    assert result.quality.shortfall == pytest.approx(0.4)
    lower_is_better = result.quality.model_copy(update={"expected": 10.0, "bound": 11.0, "value": 10.5})
    assert lower_is_better.shortfall == pytest.approx(0.5)
    assert result.quality.summary == "roc_auc 0.740 ± 0.024; 0.750 expected, 0.725 at worst"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (measured(0.6), "losing"),
        (measured(0.74, data=broken("frozen", "wind")), "data_broken"),
        (measured(0.74, service_health=ServiceHealthSignal(status="failed", reason="no answer")), "not_measured"),
        (measured(0.74, drift=DriftSignal(status="not_enough", reason="too few rows")), "watched"),
    ],
)
def test_a_look_that_found_something_decides_the_state(life: Life, found: Any, expected: str) -> None:
    life.look(SPRING + DAY, measured(0.75))
    life.look(SPRING + 2 * DAY, found)

    assert state(life).state == expected
    assert state(life, days=1).state == "fit"  # as it was known the day before


def test_a_new_champion_has_no_look_yet_whatever_the_old_one_lost(life: Life) -> None:
    life.look(SPRING + DAY, measured(0.6))
    life.champion(2, SPRING + 2 * DAY)

    result = state(life)

    assert (result.state, result.champion, result.quality) == ("not_looked_at", 2, None)
    assert result.last_look is not None
    assert result.last_look.champion == 1


def test_quality_of_an_earlier_look_is_shown_as_such(life: Life) -> None:
    life.look(SPRING + DAY, measured(0.74))
    unknown = measured(0.7).model_copy(update={"quality": QualitySignal(status="not_enough", reason="no labels came")})
    life.look(SPRING + 2 * DAY, unknown)

    result = state(life)

    assert result.quality is not None
    assert result.quality.until == SPRING + DAY
    assert result.quality_unknown == "no labels came"
    assert any("an earlier look); not known now: no labels came" in line for line in status_lines(result))


def test_a_challenger_that_waits_names_the_command(life: Life) -> None:
    life.look(SPRING + DAY, measured(0.75))
    turn = life.approval_asked(SPRING + 2 * DAY)

    result = state(life)

    assert result.state == "waiting"
    (ask,) = result.asks
    assert ask.what == "approve or decline version 2"
    assert ask.command == f"everfit approve flights {turn} --by NAME --reason WHY"


def test_an_open_incident_waits_for_a_person_and_says_who_looks_after_it(life: Life) -> None:
    life.look(SPRING + DAY, measured(0.75))
    life.incident(SPRING + DAY, seen_by="Ada", seen_until=SPRING + 40 * DAY)

    (ask,) = state(life).asks

    assert (ask.what, ask.reason, ask.seen_by) == ("critical: a person is needed", "no rows came", "Ada")
    assert state(life, days=41).asks[0].seen_by == ""


def test_an_open_incident_is_no_health_whatever_the_last_look_found(life: Life) -> None:
    life.look(SPRING + DAY, measured(0.75))
    life.incident(SPRING + DAY, subject="run monitoring")

    result = state(life)

    assert (result.state, result.reason) == ("waiting", "critical: a person is needed: no rows came")


def test_a_request_for_approval_and_its_incident_are_one_thing_to_do(life: Life) -> None:
    turn = life.approval_asked(SPRING + DAY)
    alert = {"what": "version 2 waits for approval", "page": "https://prefect.example/artifacts/1"}
    life.incident(SPRING + DAY, f"approval {turn}", alert=alert, seen_by="Ada", seen_until=SPRING + 40 * DAY)

    (ask,) = state(life).asks

    assert (ask.what, ask.page, ask.seen_by) == ("approve or decline version 2", alert["page"], "Ada")


@pytest.mark.parametrize(("days", "expected"), [(12.9, "fit"), (13.1, "late")])
def test_a_model_whose_looks_have_stopped_is_late(life: Life, days: float, expected: str) -> None:
    for day in range(1, 11):
        life.look(SPRING + day * DAY, measured(0.75))

    assert state(life, days=days).state == expected


@pytest.mark.parametrize(("days", "expected"), [(30.9, "fit"), (31.1, "late")])
def test_a_model_that_was_looked_at_once_is_late_after_a_month(life: Life, days: float, expected: str) -> None:
    life.look(SPRING + DAY, measured(0.75))

    assert state(life, days=days).state == expected


def test_history_that_was_lived_through_in_minutes_is_not_late(life: Life) -> None:
    for month in range(1, 5):
        row = life.look_row(SPRING + 30 * month * DAY, measured(0.75))
        life._insert(decisions, row | {"at": SPRING + 500 * DAY + timedelta(minutes=month)})

    assert state(life, days=585).state == "fit"
    assert state(life, days=595).state == "late"


@pytest.mark.parametrize("where", ["release", "incident"])
def test_a_champion_that_no_service_confirmed_is_not_served(ledger: Ledger, where: str) -> None:
    life = Life(ledger)
    life.release(1, SPRING, life.turn(SPRING), state="alias_set" if where == "release" else "verified")
    life.look(SPRING + DAY, measured(0.6))
    if where == "incident":
        life.incident(SPRING + DAY, subject="run service-check")

    assert state(life).state == "not_served"  # worse than the loss that was found as well


def test_the_limits_say_what_is_left(life: Life) -> None:
    policy = RetrainingPolicy.model_validate({"cooldown": "2d", "budget": {"turns": 3, "per": "30d"}})
    life.turn(SPRING + 10 * DAY, "ChampionKept", trigger_kind="quality")

    result = state(life, days=11, policy=policy)

    assert result.limits is not None
    assert result.limits.summary == "2 of 3 automatic turns in 30 days are left; cooldown until 2024-03-13 00:00 UTC"
    later = state(life, days=13, policy=policy)
    assert later.limits is not None
    assert later.limits.summary.endswith("; no cooldown")


def test_what_is_wrong_comes_first_in_one_line_each(ledger: Ledger) -> None:
    for name, value in (("bikes", 0.75), ("cabs", 0.6), ("apples", 0.75)):
        life = Life(ledger, name)
        life.champion(1, SPRING)
        life.look(SPRING + DAY, measured(value))

    every = worst_first(
        status_of(read_model_facts(ledger, name, SPRING + 2 * DAY)) for name in ("bikes", "cabs", "apples")
    )
    lines = overview_lines(every)

    assert [line.split()[0] for line in lines] == ["cabs", "apples", "bikes"]
    assert lines[0].startswith(
        "cabs    losing quality  roc_auc is 0.6 in this window, 0.15 worse than the 0.75 expected"
    )
    assert lines[1].endswith("roc_auc 0.750 ± 0.024; 0.750 expected, 0.725 at worst; looked at 24 hours ago; version 1")
    assert all(len(line) < 140 for line in lines)
    assert overview_lines([]) == ["the ledger has no model yet; `everfit train MODEL` makes the first champion of one"]


def test_a_record_of_any_version_is_read() -> None:
    entry = Decision(id="1", model="flights", kind="triage", verdict="healthy", at=SPRING)

    for record in (
        {},
        {"signals": {"quality": None, "own": [{"status": "failed"}]}, "decision": {"loss": {"words": "x"}}},
    ):
        look = look_of(entry.model_copy(update={"record": record}))
        assert (look.value, look.expected, look.bound) == (None, None, None)
    assert look.failures == ("own: the measurement failed",)


def test_a_retired_model_comes_back_with_its_next_turn(life: Life) -> None:
    life.ledger.decisions.record("r", model="flights", kind="retirement", verdict="retired", reasons=("too old",))

    assert (state(life).state, state(life).reason) == ("retired", "too old")
    now = life.ledger.decisions.find("r")
    assert now is not None
    life.turn(SPRING + DAY, started_at=now.at + timedelta(seconds=1))
    assert state(life).state == "not_looked_at"


def test_a_share_of_errors_of_zero_is_a_figure(life: Life) -> None:
    health = ServiceHealthSignal(status="measured", predictions=9, figures={"error_rate": 0.0, "p99_ms": 3.0})
    life.look(SPRING + DAY, measured(0.74, service_health=health))
    looks = read_model_facts(life.ledger, life.model, SPRING + 2 * DAY).looks
    assert looks[-1].figures == {"error_rate": 0.0, "p99_ms": 3.0}
