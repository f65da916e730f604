"""A turn that a user's own flow ended under a name of its own, or broke off, says nothing of training."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.ledger import Turn
from everfit.tasks.monitoring.triage_history import past_turn
from everfit.tasks.triage.admission import Admission, TurnRequest, admit
from everfit.tasks.triage.failure_backoff import failure_streak
from everfit.tasks.triage.history import History, Outcome, PastTurn

NOW = datetime(2024, 6, 3, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def turn(age: timedelta, outcome: Outcome = "other", **facts: Any) -> PastTurn:
    shared = {"turn_id": f"t-{age}", "until": NOW - age, "kind": "quality", "signature": "loss", "reference": "r"}
    return PastTurn.model_validate({**shared, "outcome": outcome, **facts})


def ask(*turns: PastTurn, signature: str = "loss", **policy: Any) -> Admission:
    request = TurnRequest(model="m", kind="quality", reference="r", signature=signature, until=NOW)
    return admit(request, turns, NOW, RetrainingPolicy(**policy))


@pytest.mark.parametrize(
    ("state", "record", "outcome"),
    [
        ("MyOwnState", {}, "other"),
        ("MyOwnState", {"own_flow": "nightly"}, "other"),
        ("failed", {"own_flow": "nightly"}, "other"),
        ("failed", {}, "failed"),
        ("failed", {"own_flow": ""}, "failed"),
        ("running", {"own_flow": "nightly"}, "running"),
        ("Promoted", {"own_flow": "nightly"}, "promoted"),
        ("Declined", {}, "kept"),
        ("Superseded", {}, "kept"),
    ],
)
def test_the_outcome_of_a_turn_follows_from_its_state_and_whose_flow_ran_it(
    state: str, record: dict[str, Any], outcome: str
) -> None:
    kept = Turn(
        id="t",
        model="m",
        seq=1,
        trigger=Trigger(),
        window=Window(until=NOW),
        state=state,
        record=record,
        started_at=NOW,
    )
    assert past_turn(kept, None).outcome == outcome


def test_it_is_no_attempt_in_vain_and_hides_none() -> None:
    kept = turn(3 * DAY, "kept")
    history = History(turns=(kept, turn(2 * DAY), turn(DAY)))
    assert history.attempts_in_vain("loss", "r", NOW - 30 * DAY) == (kept,)
    level = {"value": 0.7, "rows": 100, "standard_error": 0.01}
    assert History(turns=(turn(DAY, level=level),)).attempts_at("loss", NOW - 30 * DAY) == ()


def test_it_neither_ends_nor_lengthens_a_row_of_failures() -> None:
    first, last, own = turn(3 * HOUR, "failed"), turn(HOUR, "failed"), turn(2 * HOUR)
    row = failure_streak([first, own, last], RetrainingPolicy())
    assert row is not None
    assert row.turns == (first, last)
    assert failure_streak([own], RetrainingPolicy()) is None


def test_what_a_person_started_keeps_no_training_away() -> None:
    nightly = turn(timedelta(0), kind="manual", signature="", reference="")
    assert ask(nightly, cooldown="7d").admitted
    assert ask(nightly, signature="", cooldown="7d").admitted
    assert ask(turn(timedelta(0), "kept", kind="manual"), cooldown="7d").refused_by == "duplicate"


def test_what_triage_called_for_is_not_called_for_again_at_once() -> None:
    assert ask(turn(timedelta(0))).refused_by == "duplicate"
    assert ask(turn(DAY), cooldown="7d").refused_by == "cooldown"
    assert ask(turn(DAY), cooldown="0s", budget={"turns": 1, "per": "7d"}).refused_by == "budget"
