"""An incident is opened, updated and closed, and people are notified when something is new."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from everfit.blocks.notifying import NotifyPolicy
from everfit.tasks.incidents.alert import Alert
from everfit.tasks.incidents.course import next_course
from everfit.tasks.incidents.message import message_of
from everfit.tasks.ledger import Incident, Ledger

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def alert(**changes: Any) -> Alert:
    facts: dict[str, Any] = {
        "subject": "window",
        "severity": "warning",
        "what": "the data is broken",
        "signature": "weight missing",
        "how_bad": "data: 40 % of weight is missing",
        "why": ("weight is missing.", "it never was.", "a third"),
        "advice": "Repair the source.",
        "command": "everfit quarantine flights",
    }
    return Alert(**(facts | changes))


def look(incident: Incident | None, found: Alert | None, hour: int, **options: Any) -> Incident | None:
    options = {"key": f"look {hour}", "quiet_looks": 2} | options
    again = options.pop("again", timedelta(days=1))
    return next_course(incident, found, model="flights", seq=1, at=NOON + hour * HOUR, again=again, **options)


def messages(*found: Alert | None, seen_from: int | None = None) -> list[str]:
    """The messages of hourly looks, as if each arrived at once."""
    sent, incident = [], None
    for hour, each in enumerate(found):
        incident = look(incident, each, hour)
        if incident is not None and incident.due:
            sent.append(f"{hour} {incident.due}")
            incident = incident.model_copy(update={"due": ""})
        if incident is not None and hour == seen_from:
            incident = incident.model_copy(update={"seen_by": "ann", "seen_until": NOON + timedelta(days=10)})
        if incident is not None and incident.state == "closed":
            incident = None
    return sent


def test_one_message_and_one_more_each_day_while_it_lasts() -> None:
    assert messages(*[alert()] * 50) == ["0 opened", "24 still", "48 still"]


def test_it_is_over_only_after_two_quiet_looks_so_that_it_does_not_flap() -> None:
    assert messages(alert(), None, alert(), None, alert(), None, None) == ["0 opened", "6 over"]


def test_worse_and_another_problem_are_news() -> None:
    worse = alert(severity="critical", signature="no rows")
    assert messages(alert(), worse, worse, alert(signature="no rows"), alert()) == ["0 opened", "1 worse", "4 changed"]


def test_what_somebody_looks_after_is_repeated_only_if_it_gets_worse_or_is_over() -> None:
    other, worse = alert(signature="other"), alert(severity="critical")
    assert messages(*[alert()] * 2, other, *[alert()] * 50, worse, None, None, seen_from=0) == [
        "0 opened",
        "53 worse",
        "55 over",
    ]


@pytest.mark.parametrize(("key", "hour"), [("look 3", 9), ("an older look", 2)], ids=["the same look", "an older one"])
def test_a_look_that_was_counted_and_one_of_the_past_change_nothing(key: str, hour: int) -> None:
    incident = look(look(None, alert(), 0), alert(), 3)
    assert look(incident, None, hour, key=key) == incident
    assert look(incident, alert(severity="critical"), hour, key=key) == incident


def test_the_policy_is_stored_as_a_spec_writes_it() -> None:
    policy = NotifyPolicy.model_validate({"warning": "slack-webhook/team", "again": "12h"})
    assert policy.model_dump(mode="json")["again"] == "12h"
    assert NotifyPolicy.model_validate(policy.model_dump(mode="json")) == policy
    with pytest.raises(ValueError, match="'on-call' names no notification block; give it as TYPE/NAME"):
        NotifyPolicy.model_validate({"critical": "on-call"})
    with pytest.raises(ValueError, match="'0s' is empty"):
        NotifyPolicy.model_validate({"again": "0s"})


def test_nothing_found_opens_nothing() -> None:
    assert look(None, None, 0) is None


def test_the_message_says_what_since_when_how_bad_why_and_what_to_do() -> None:
    incident = look(None, alert(chart=(0.75, 0.74, 0.61), chart_of="roc_auc", page="https://mlflow/run"), 0)
    assert incident is not None
    message = message_of(incident, owner="ann <ann@example.com>")
    assert message.subject == "everfit: flights: warning: the data is broken"
    assert message.body.splitlines() == [
        "What: the data is broken",
        "Since: 2024-05-01 12:00 UTC, one look",
        "How bad: warning; data: 40 % of weight is missing",
        "Why: weight is missing.",
        "Why: it never was.",
        "(one more reason on the page)",
        "Chart: █▇▁ roc_auc",
        "To do: Repair the source.",
        "Page: https://mlflow/run",
        "Command: everfit quarantine flights",
        "Owner: ann < ann@example.com>",
        "If you look after it: everfit seen flights --by NAME --until Friday",
    ]


def test_the_last_message_says_how_long_it_was() -> None:
    incident = look(look(look(None, alert(), 0), None, 1), None, 2)
    assert incident is not None
    assert incident.state == "closed"
    message = message_of(incident)
    assert message.subject == "everfit: flights: over, warning: the data is broken"
    assert "Since: 2024-05-01 12:00 UTC; over at 2024-05-01 14:00 UTC after one look" in message.body


def test_the_last_message_tells_the_outcome_and_no_command_that_is_done() -> None:
    incident = look(look(None, alert(), 0), None, 1, quiet_looks=1, outcome="Approved by ann: seen")
    assert incident is not None
    assert message_of(incident).body.splitlines() == [
        "What: the data is broken",
        "Since: 2024-05-01 12:00 UTC; over at 2024-05-01 13:00 UTC",
        "Outcome: Approved by ann: seen",
    ]


def test_the_ledger_keeps_an_incident_as_it_is(ledger: Ledger) -> None:
    opened = ledger.incidents.change("flights", "window", lambda present, seq: look(present, alert(), seq))
    assert opened is not None
    assert ledger.incidents.open("flights") == ledger.incidents.open() == [opened]

    # Another look finds it and nobody opens a second one
    ledger.incidents.change("flights", "window", lambda present, _: look(present, alert(), 5))
    (now,) = ledger.incidents.of("flights")
    assert (now.id, now.looks) == (opened.id, 2)

    # One that is over makes room for the next
    over = look(now, None, 9, quiet_looks=1)
    assert over is not None
    ledger.incidents.change("flights", "window", lambda *_: over)
    ledger.incidents.change("flights", "window", lambda _, seq: opened.model_copy(update={"id": "2", "seq": seq}))
    assert [(one.seq, one.state) for one in ledger.incidents.of("flights")] == [(1, "closed"), (2, "open")]
