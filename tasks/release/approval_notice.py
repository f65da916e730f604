"""A request for approval is an incident of its own: one message when it begins, reminders, and one when it is over."""

from collections.abc import Mapping
from datetime import datetime

from everfit.tasks.incidents.alert import Alert
from everfit.tasks.incidents.recording import follow_up
from everfit.tasks.release.approval import APPROVAL_SUBJECT, ApprovalRequest
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.turn_record import AWAITING_APPROVAL


def ask_people(context: Context, request: ApprovalRequest, links: Mapping[str, str], now: datetime) -> None:
    """Notify people that a challenger waits.

    Args:
        context: The model.
        request: The request.
        links: Addresses of the evidence.
        now: The present.
    """
    alert = Alert(
        subject=f"{APPROVAL_SUBJECT}{request.turn_id}",
        severity="warning",
        what=f"version {request.version} waits for approval",
        signature=request.turn_id,
        how_bad=f"it expires on {request.expires_at:%Y-%m-%d %H:%M} UTC",
        why=(request.headline,),
        advice=f"Resume the run approve-{request.turn_id} in Prefect, which has the form, or use the command.",
        command=f'everfit approve {request.model} {request.turn_id} --by NAME --reason "…"',
        page=links.get("artifact") or links.get("mlflow") or "",
        since=request.asked_at,
    )
    follow_up(context, alert.subject, alert, key=request.turn_id, at=now)


def follow_requests(context: Context, now: datetime) -> None:
    """Remind people of the requests that wait, and tell the end of those that don't any more.

    Args:
        context: The model.
        now: The present.
    """
    for incident in context.ledger.incidents.open(context.spec.name):
        if not incident.subject.startswith(APPROVAL_SUBJECT):
            continue
        turn = context.ledger.turns.get(incident.subject.removeprefix(APPROVAL_SUBJECT))
        key = f"{turn.state} at {now.isoformat()}"
        if turn.state == AWAITING_APPROVAL:
            follow_up(context, incident.subject, Alert.recall(incident.alert), key=key, at=now)
        else:
            outcome = turn.reasons[0] if turn.reasons else turn.state
            follow_up(context, incident.subject, None, key=key, at=now, outcome=outcome)
