"""Record in the ledger what a look has found, and notify people if that is due."""

import logging
from datetime import UTC, datetime
from tempfile import TemporaryDirectory

from everfit.tasks.core.event_names import INCIDENT_CLOSED, INCIDENT_OPENED, INCIDENT_UPDATED
from everfit.tasks.core.events import emit_in_run
from everfit.tasks.incidents import delivery
from everfit.tasks.incidents.alert import Alert
from everfit.tasks.incidents.course import OPENED, next_course
from everfit.tasks.incidents.message import Message, message_of
from everfit.tasks.incidents.picture import draw_chart
from everfit.tasks.ledger.records import Incident, SentMessage
from everfit.tasks.turns.context import Context

logger = logging.getLogger("everfit.incidents")

_KEPT = 50
"""Messages that the ledger keeps of an incident."""


def follow_up(
    context: Context,
    subject: str,
    alert: Alert | None,
    *,
    key: str,
    at: datetime,
    quiet_looks: int = 1,
    outcome: str = "",
) -> Incident | None:
    """Open, update or close the incident of a subject, and send the message that is due.

    A message that did not arrive is sent again at the next look, to those who do not have it.

    Args:
        context: The model.
        subject: The subject of the look.
        alert: The finding; None if it found nothing.
        key: Identifies the look, so that a repeated look counts once.
        at: The moment of the look.
        quiet_looks: How many looks in a row must find nothing before an incident is over.
        outcome: How it ended, if the look found nothing.

    Returns:
        The incident; None if there is none.
    """
    spec, ledger = context.spec, context.ledger

    def change(present: Incident | None, seq: int) -> Incident | None:
        return next_course(
            present,
            alert,
            model=spec.name,
            seq=seq,
            key=key,
            at=at,
            again=spec.notify.repeated_after,
            quiet_looks=quiet_looks,
            outcome=outcome,
        )

    incident = ledger.incidents.change(spec.name, subject, change)
    if incident is None:
        return None
    if incident.due and not incident.delivered:
        _emit(incident)
    return _deliver(context, incident) if incident.due else incident


def mark_seen(context: Context, until: datetime, by: str) -> list[Incident]:
    """Record that a person looks after the open incidents of a model.

    Args:
        context: The model.
        until: Until then, messages are sent only if it gets worse or is over.
        by: The name of the person.

    Returns:
        The incidents as they are now.
    """
    seen = []
    for incident in context.ledger.incidents.open(context.spec.name):

        def change(present: Incident | None, _seq: int) -> Incident | None:
            return present and present.model_copy(update={"seen_by": by, "seen_until": until})

        if (now := context.ledger.incidents.change(context.spec.name, incident.subject, change)) is not None:
            seen.append(now)
    return seen


def _deliver(context: Context, incident: Incident) -> Incident:
    spec = context.spec
    message = message_of(incident, spec.owner, context.settings.page_of(spec.name))
    receivers: tuple[str, ...] | None = None
    try:
        receivers = delivery.receivers_of(spec.notify.receivers(incident.severity), spec.name)
        sent = _send(incident, message, receivers)
    except delivery.ReceiversUnknownError as error:
        logger.error("the message %r reached nobody: %s", message.subject, error)
        sent = [SentMessage(at=datetime.now(UTC), kind=incident.due, to=delivery.DEFAULT_BLOCK, error=str(error))]
    delivered = {*incident.delivered, *(one.to for one in sent if not one.error)}
    arrived = receivers is not None and delivered >= set(receivers)
    now = incident.model_copy(
        update={
            "due": "" if arrived or incident.state == "closed" else incident.due,
            "delivered": () if arrived else tuple(sorted(delivered)),
            "messages": (*incident.messages, *sent)[-_KEPT:],
        }
    )

    def change(present: Incident | None, _seq: int) -> Incident | None:
        if present is None or present.id != incident.id or present.last_key != incident.last_key:
            return present  # another look has come meanwhile, and will send what is due
        return now.model_copy(update={"seen_by": present.seen_by, "seen_until": present.seen_until})

    if incident.state == "closed":
        context.ledger.incidents.amend(now)
    else:
        context.ledger.incidents.change(incident.model, incident.subject, change)
    return now


def _send(incident: Incident, message: Message, receivers: tuple[str, ...]) -> list[SentMessage]:
    """Send a message to those who do not have it."""
    waiting = [receiver for receiver in receivers if receiver not in incident.delivered]
    if not receivers:
        logger.info("%s; nobody is notified, because no notification block is named", message.subject)
    sent = []
    with TemporaryDirectory(prefix="everfit-message-") as folder:
        alert = Alert.recall(incident.alert)
        if alert.chart and incident.state == "open" and waiting:
            message = message.model_copy(update={"picture": draw_chart(folder, message.subject, alert)})
        for receiver in waiting:
            error = delivery.deliver(message, receiver)
            sent.append(SentMessage(at=datetime.now(UTC), kind=incident.due, to=receiver, error=error))
            if error:
                logger.error("the message %r did not reach %s: %s", message.subject, receiver, error)
    return sent


def _emit(incident: Incident) -> None:
    """Emit the event, for automations of a team's own."""
    alert = Alert.recall(incident.alert)
    closed = incident.state == "closed"
    name = INCIDENT_CLOSED if closed else INCIDENT_OPENED if incident.due == OPENED else INCIDENT_UPDATED
    message: Message = message_of(incident)
    emit_in_run(
        name,
        incident.model,
        incident=incident.id,
        subject=incident.subject,
        severity=incident.severity,
        headline=alert.what,
        message=message.body,
    )
