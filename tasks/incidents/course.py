"""The course of an incident: opened, updated, closed, and when a person is notified of it. Pure."""

from datetime import datetime, timedelta

from everfit.tasks.incidents.alert import Alert
from everfit.tasks.ledger.records import Incident

OPENED, WORSE, CHANGED, STILL, OVER = "opened", "worse", "changed", "still", "over"
"""Why a message is sent."""
_ORDER = ("warning", "critical")


def next_course(
    incident: Incident | None,
    alert: Alert | None,
    *,
    model: str,
    seq: int,
    key: str,
    at: datetime,
    again: timedelta,
    quiet_looks: int = 1,
    outcome: str = "",
) -> Incident | None:
    """Return an incident after a look, with the message that is due.

    A message is due when the incident opens, when it gets worse or another problem takes its place, each time that
    `again` has passed, and when it is over. While a person has said that it is seen, only the first two and the last
    are sent.

    Args:
        incident: The open incident of the subject, if there is one.
        alert: The finding of the look; None if it found nothing.
        model: The name of the model.
        seq: The number of an incident that opens now.
        key: Identifies the look; a look that was counted last changes nothing.
        at: The moment of the look. One before the last look changes nothing.
        again: How often a lasting incident is repeated.
        quiet_looks: How many looks in a row must find nothing before it is over.
        outcome: How it ended, if the look found nothing.
    """
    if incident is None:
        return None if alert is None else _opened(alert, model, seq, key, at)
    if key == incident.last_key or at < incident.updated_at:
        return incident
    present = incident.model_copy(update={"last_key": key, "updated_at": at})
    return _without(present, at, quiet_looks, outcome) if alert is None else _with(present, alert, at, again)


def is_seen(incident: Incident, at: datetime) -> bool:
    """Return whether a person has said that the incident is seen, and until later than a moment."""
    return incident.seen_until is not None and at < incident.seen_until


def _without(incident: Incident, at: datetime, quiet_looks: int, outcome: str) -> Incident:
    """Return an incident after a look that did not show it."""
    quiet = incident.quiet + 1
    if quiet < quiet_looks:
        return incident.model_copy(update={"quiet": quiet})
    end = {"quiet": quiet, "state": "closed", "closed_at": at}
    if outcome:
        end["alert"] = {**incident.alert, "outcome": outcome}
    return _with_message(incident.model_copy(update=end), OVER, at)


def _with(incident: Incident, alert: Alert, at: datetime, again: timedelta) -> Incident:
    """Return an incident after a look that showed it."""
    changes = {"severity": alert.severity, "looks": incident.looks + 1, "quiet": 0}
    present = incident.model_copy(update={"alert": alert.model_dump(mode="json"), **changes})
    if _ORDER.index(alert.severity) > _ORDER.index(incident.severity):
        return _with_message(present, WORSE, at)
    if is_seen(incident, at):
        return present
    if alert.signature != Alert.recall(incident.alert).signature:
        return _with_message(present, CHANGED, at)
    if incident.notified_at is None or at - incident.notified_at >= again:
        return _with_message(present, STILL, at)
    return present


def _opened(alert: Alert, model: str, seq: int, key: str, at: datetime) -> Incident:
    incident = Incident(
        id=f"{model}/incident/{seq}",
        model=model,
        seq=seq,
        subject=alert.subject,
        state="open",
        severity=alert.severity,
        opened_at=alert.since or at,
        updated_at=at,
        alert=alert.model_dump(mode="json"),
        last_key=key,
    )
    return _with_message(incident, OPENED, at)


def _with_message(incident: Incident, kind: str, at: datetime) -> Incident:
    return incident.model_copy(update={"due": kind, "delivered": (), "notified_at": at})
