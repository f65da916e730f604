"""An exported turn shows who approved it, and how each name is known."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from everfit.tasks.core.people import Person
from everfit.tasks.core.records import Trigger, Window
from everfit.tasks.incidents.alert import Alert
from everfit.tasks.incidents.course import next_course
from everfit.tasks.ledger import Ledger
from everfit.tasks.release.approval import ApprovalRequest, answer_request, signature_of
from everfit.tasks.turns.later_history import later_history

UNTIL = datetime(2024, 3, 4, tzinfo=UTC)


def test_the_approval_is_in_the_history_with_each_person(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    turn = ledger.turns.begin("m", Trigger(kind="manual"), Window(until=UNTIL))
    ledger.turns.finish(turn, state="AwaitingApproval", record={"version": {"version": 2}})
    request = ApprovalRequest(
        model="m",
        turn_id=turn.id,
        version=2,
        run_id="run-2",
        champion_version=1,
        headline="waits",
        asked_at=UNTIL,
        expires_at=UNTIL + timedelta(days=7),
    )
    people = (Person(name="ann", account="ann"), Person(name="bob"))
    signatures = [signature_of(person, "checked") for person in people]
    ledger.decisions.record(
        f"{turn.id}/approval",
        model="m",
        kind="approval",
        verdict="approve",
        record=answer_request(request, "approve", signatures),
        turn_id=turn.id,
    )

    (approval,) = later_history(ledger, turn.id)["approval"]

    assert (approval["verdict"], approval["record"]["by"]) == ("approve", "ann, bob")
    known = [(one["person"]["name"], one["person"]["account"]) for one in approval["record"]["signatures"]]
    assert known == [("ann", "ann"), ("bob", "")]


def test_the_request_for_its_approval_is_among_its_incidents_though_it_was_not_released_yet(tmp_path: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    turn = ledger.turns.begin("m", Trigger(kind="manual"), Window(until=UNTIL))
    for subject in (f"approval {turn.id}", "run scoring"):
        alert = Alert(subject=subject, severity="warning", what="a person is needed", signature="x")
        ledger.incidents.change(
            "m",
            subject,
            lambda present, seq, alert=alert: next_course(
                present, alert, model="m", seq=seq, key="1", at=UNTIL, again=timedelta(days=1)
            ),
        )

    assert [one["subject"] for one in later_history(ledger, turn.id)["incidents"]] == [f"approval {turn.id}"]
