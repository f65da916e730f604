"""The approvals and problems that wait for a person. Pure."""

from datetime import datetime

from pydantic import AwareDatetime

from everfit.tasks.core.records import Record
from everfit.tasks.ledger.records import AWAITING_APPROVAL
from everfit.tasks.pages.facts import ModelFacts
from everfit.tasks.pages.looks import LookSummary
from everfit.tasks.release.approval import APPROVAL_SUBJECT
from everfit.tasks.triage import VERDICTS


class Ask(Record):
    """Something that waits for a person.

    Attributes:
        what: In a few words.
        since: When it began to wait.
        reason: Why.
        command: The command that does it or shows more.
        page: The address of the form or of the evidence.
        seen_by: The person who looks after it.
        turn: The turn that waits for an approval.
        incident: The id of the open incident.
    """

    what: str
    since: AwareDatetime
    reason: str = ""
    command: str = ""
    page: str = ""
    seen_by: str = ""
    turn: str = ""
    incident: str = ""


def asks_of(facts: ModelFacts, last: LookSummary | None = None) -> tuple[Ask, ...]:
    """Return what waits for a person, the longest wait first.

    Args:
        facts: The rows of the ledger.
        last: The newest look at the champion.
    """
    asks = []
    opened = [incident for incident in facts.incidents if incident.state == "open"]
    requests = {one.subject: one for one in opened if one.subject.startswith(APPROVAL_SUBJECT)}
    for turn in facts.turns:
        if turn.state == AWAITING_APPROVAL:
            version = facts.asked.get(turn.id)
            named = "a challenger" if version is None else f"version {version}"
            command = f"everfit approve {facts.model} {turn.id} --by NAME --reason WHY"
            what, since = f"approve or decline {named}", turn.finished_at or turn.started_at
            reason = next(iter(turn.reasons), "")
            notice = requests.get(f"{APPROVAL_SUBJECT}{turn.id}")
            page = "" if notice is None else str(notice.alert.get("page") or "")
            seen = "" if notice is None else _seen_by(notice.seen_by, notice.seen_until, facts.until)
            ask = Ask(what=what, since=since, reason=reason, command=command, page=page, seen_by=seen, turn=turn.id)
            asks.append(ask)
    for incident in opened:
        if incident.subject in requests:
            continue
        alert = incident.alert
        asks.append(
            Ask(
                what=f"{incident.severity}: {alert.get('what') or incident.subject}",
                since=incident.opened_at,
                reason=next(iter(map(str, alert.get("why") or ())), ""),
                command=str(alert.get("command") or ""),
                page=str(alert.get("page") or ""),
                seen_by=_seen_by(incident.seen_by, incident.seen_until, facts.until),
                incident=incident.id,
            )
        )
    if last is not None and last.verdict == "escalate" and not opened:
        verdict = VERDICTS["escalate"]
        command = verdict.command.format(model=facts.model)
        asks.append(Ask(what=verdict.headline, since=last.until, reason=last.headline, command=command))
    return tuple(sorted(asks, key=lambda ask: ask.since))


def _seen_by(name: str, until: datetime | None, at: datetime) -> str:
    return name if until is not None and at < until else ""
