"""A turn that broke off or whose data was refused has taught nothing and tried nothing; nor is it repeated for ever."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.training import a_spec
from support.triage import SICK, attempt, decide, reference, signals, week

from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger import Turn
from everfit.tasks.monitoring.signals.labels import learned_until
from everfit.tasks.monitoring.triage_history import past_turn
from everfit.tasks.triage.admission import Admission, TurnRequest, admit
from everfit.tasks.triage.history import History, Outcome, PastTurn
from everfit.tasks.triage.signals import LabelsSignal

NOW = datetime(2013, 9, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def has_failed(until: datetime, outcome: Outcome = "failed", **facts: Any) -> PastTurn:
    content = {"turn_id": f"t-{until:%m%dT%H}", "until": until, "kind": "quality", "outcome": outcome}
    return PastTurn.model_validate({**content, "reason": "MemoryError: 80 GiB", **facts})


def ask(*turns: PastTurn, kind: str = "quality", **facts: Any) -> Admission:
    content = {"model": "m", "kind": kind, "reference": "r", "signature": "loss", "until": NOW, **facts}
    return admit(TurnRequest.model_validate(content), turns, NOW, RetrainingPolicy())


@pytest.mark.parametrize(
    ("state", "learned"),
    [
        ("Promoted", True),
        ("ChampionKept", True),
        ("OnTrial", True),
        ("NothingNew", True),  # what there was had been trained on
        ("DataRejected", False),
        ("Superseded", False),
        ("failed", False),
        ("running", False),
    ],
)
def test_only_what_was_trained_on_counts_as_learned(state: str, learned: bool) -> None:
    trained, until = NOW - 30 * DAY, NOW
    turn = Turn(
        id="t",
        model="small",
        seq=2,
        trigger=Trigger(),
        window=Window(until=NOW - 10 * DAY),
        state=state,
        started_at=NOW,
    )
    spec = a_spec()
    assert learned_until([turn], spec, trained, until) == (turn.window.until - spec.maturity if learned else trained)


@pytest.mark.parametrize("outcome", ["failed", "rejected"])
def test_what_has_failed_was_no_attempt_in_vain(outcome: str) -> None:
    # Given six turns for a loss, of which none came to a model,
    turns = tuple(attempt(n, outcome, level=signals().quality.baseline) for n in (-31, -26, -21, -16, -11, -6))
    # when the wait is over, then it is tried again: nobody knows yet whether it helps.
    result = decide(signals(quality=SICK), History(turns=turns))
    assert (result.verdict, result.rule) == ("retrain", "realised_loss")
    level = History(turns=turns).attempts_at(result.signature, week(-40).until)
    assert level == ()


@pytest.mark.slow
def test_a_turn_that_has_failed_is_tried_again_after_a_while_and_then_a_person_is_asked() -> None:
    until, turns, tried, requests = week(0).until, [], [], []
    # Given an hourly look at a loss, and trainings that break off each time,
    for hour in range(40 * 24):
        now = until + hour * HOUR
        window = Window(since=now - timedelta(days=7), until=now)
        result = decide(signals(window=window, quality=SICK), History(turns=tuple(turns)))
        if result.verdict == "retrain":
            tried.append(hour)
            turns.append(has_failed(now, signature=result.signature, reference=reference().id))
        elif result.verdict == "escalate":
            requests.append(hour)
            assert result.rule == "failing_turns"
            assert "MemoryError: 80 GiB" in " ".join(result.reasons)
        else:
            assert (result.verdict, result.rule) == ("watch", "failing_turns")
    # then the waits grow, a person hears of it from the third on, and once in a budget's span it is tried again.
    assert tried == [0, 1, 3, 3 + 30 * 24]
    assert requests[0] == 4


def test_a_turn_that_came_through_ends_the_row() -> None:
    turns = (*(attempt(-n, "failed") for n in (9, 8, 7)), attempt(-6, "kept", signature="other"), attempt(-1, "failed"))
    assert decide(signals(quality=SICK), History(turns=turns)).verdict == "retrain"


def test_nothing_else_retrains_either_while_failing_turns() -> None:
    turns = tuple(attempt(-n, "failed", signature="") for n in (4, 3, 2))
    new = LabelsSignal(status="measured", new_rows=50_000)
    result = decide(signals(labels=new), History(turns=turns), new_data={"rows": 100})
    assert (result.verdict, result.rule) == ("escalate", "failing_turns")
    assert decide(signals(), History(turns=turns), schedule="7d").rule == "failing_turns"


def test_rejected_data_is_waited_for_as_long_as_it_has_been_bad_and_a_person_is_asked() -> None:
    # Given data that is rejected for a week, and an hourly wish to train on what comes,
    until, turns, tried, requests = week(0).until, [], [], []
    for hour in range(14 * 24):
        now = until + hour * HOUR
        new = LabelsSignal(status="measured", new_rows=50_000)
        window = Window(since=now - timedelta(days=7), until=now)
        result = decide(signals(window=window, labels=new), History(turns=tuple(turns)), new_data={"rows": 100})
        if result.verdict == "escalate":
            requests.append(hour)
        if result.verdict != "retrain":
            continue
        tried.append(hour)
        turns.append(has_failed(now, "rejected" if hour < 7 * 24 else "promoted"))
        if hour >= 7 * 24:
            break
    assert tried == [0, 1, 3, 7, 15, 31, 63, 127, 255]
    assert requests[0] == 4


def test_a_rejected_turn_puts_no_schedule_off() -> None:
    rejected = History(turns=(attempt(0, "rejected", signature=""),))
    assert decide(signals(7), rejected, schedule="56d").rule == "due_by_schedule"


def test_the_ledger_holds_back_what_breaks_off_again_and_again_but_no_person() -> None:
    one = has_failed(NOW - HOUR / 2)
    assert (ask(one).refused_by, ask(one).admitted) == ("failures", False)
    assert ask(has_failed(NOW - HOUR)).admitted
    row = [has_failed(NOW - n * DAY) for n in (3, 2, 1)]
    refused = ask(*row)
    assert refused.refused_by == "failures"
    assert "MemoryError: 80 GiB" in refused.reason
    assert ask(*row, kind="manual").admitted
    assert ask(*row, has_failed(NOW - DAY / 2, "kept")).admitted
    assert ask(*(item.model_copy(update={"until": item.until - 30 * DAY}) for item in row)).admitted


def test_one_turn_is_taken_up_again_so_many_times() -> None:
    assert ask(attempts=2).admitted
    assert ask(attempts=3).refused_by == "failures"
    assert ask(attempts=3, kind="manual").admitted


def test_of_one_moment_another_turn_may_start_until_there_were_too_many() -> None:
    assert ask(has_failed(NOW)).admitted
    assert ask(*(has_failed(NOW, turn_id=f"t-{n}") for n in range(3))).refused_by == "failures"


@pytest.mark.parametrize(
    ("state", "told"),
    [("failed", "MemoryError"), ("DataRejected", "a tenth of the rows is bad"), ("Promoted", "")],
)
def test_a_past_turn_says_why_it_has_failed(state: str, told: str) -> None:
    turn = Turn(
        id="t",
        model="m",
        seq=1,
        trigger=Trigger(),
        window=Window(until=NOW),
        state=state,
        reasons=("a tenth of the rows is bad",) if state != "failed" else (),
        error="MemoryError" if state == "failed" else None,
        started_at=NOW,
    )
    assert past_turn(turn, None).reason == told
