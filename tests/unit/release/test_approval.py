"""What may be approved, and until when."""

from datetime import UTC, datetime, timedelta

import pytest

from everfit.tasks.core.people import Person, RoleError
from everfit.tasks.release.approval import (
    Approval,
    ApprovalError,
    ApprovalRequest,
    answer_request,
    check_other_eyes,
    lapse,
    signature_of,
)

ASKED = datetime(2024, 3, 1, tzinfo=UTC)


def request(champion: int | None = 1) -> ApprovalRequest:
    return ApprovalRequest(
        model="deliveries",
        turn_id="deliveries-1",
        version=2,
        run_id="r",
        champion_version=champion,
        headline="Waits",
        asked_at=ASKED,
        expires_at=ASKED + timedelta(days=7),
    )


def test_an_answer_names_who_and_why():
    approval = answer_request(request(), "approve", [signature_of(Person(name=" ann "), "looks right")])

    assert (approval.outcome, approval.by, approval.reason) == ("approve", "ann", "looks right")
    assert approval.headline == "Approved by ann (as stated): looks right"


def test_several_people_sign_together_each_with_how_the_name_is_known():
    people = [Person(name="ann"), Person(name="bob", account="robert")]
    approval = answer_request(request(), "approve", [signature_of(person, "looks right") for person in people])

    assert approval.headline == ("Approved by ann (as stated) and bob (logged in to MLflow as robert): looks right")


def test_an_approval_of_an_earlier_everfit_has_the_name_alone():
    approval = Approval.recall({"outcome": "approve", "by": "ann", "reason": "fine", "request": request().model_dump()})

    assert approval.headline == "Approved by ann: fine"


@pytest.mark.parametrize(
    ("started_by", "approvals", "person", "refused"),
    [
        ("ann", 2, Person(name="Ann"), True),
        ("ann", 2, Person(name="somebody else", account="ann"), True),
        ("ann", 2, Person(name="bob"), False),
        ("ann", 1, Person(name="ann"), False),
        ("", 2, Person(name="ann"), False),
    ],
)
def test_who_started_a_turn_is_no_second_pair_of_eyes(started_by: str, approvals: int, person: Person, refused: bool):
    if not refused:
        check_other_eyes(started_by, approvals, person)
        return
    with pytest.raises(RoleError, match="started this turn, so 2 other people must approve it"):
        check_other_eyes(started_by, approvals, person)


@pytest.mark.parametrize(("by", "why", "word"), [("", "x", "name"), ("ann", "  ", "reason"), ("\n", "", "name")])
def test_an_answer_by_nobody_or_without_a_reason_is_none(by: str, why: str, word: str):
    with pytest.raises(ApprovalError, match=f"the {word} is empty"):
        signature_of(Person(name=by), why)


def test_a_request_waits_until_the_moment_at_which_it_expires():
    assert lapse(request(), 1, ASKED + timedelta(days=7, seconds=-1)) is None
    expired = lapse(request(), 1, ASKED + timedelta(days=7))
    assert expired is not None
    assert (expired.outcome, expired.by) == ("expired", "everfit")
    assert expired.headline == "Declined by everfit: no decision was carried out before 2024-03-08 00:00 UTC"


@pytest.mark.parametrize(
    ("compared", "present", "words"),
    [
        (1, 3, "the champion was version 1, and now it is version 3"),
        (1, None, "the champion was version 1, and now there is none"),
        (None, 3, "there was no champion, and now it is version 3"),
        (1, 2, "and now it is version 2"),  # the challenger itself, made champion by somebody's hand
    ],
)
def test_another_champion_supersedes_a_request_also_after_it_expired(compared, present, words):
    for now in (ASKED, ASKED + timedelta(days=30)):
        result = lapse(request(compared), present, now)
        assert result is not None
        assert result.outcome == "superseded"
        assert words in result.reason


def test_without_a_champion_before_and_now_it_still_waits():
    assert lapse(request(None), None, ASKED) is None
