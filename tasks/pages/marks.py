"""The events of a model's life that its timeline marks, from the facts. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from pydantic import AwareDatetime

from everfit.tasks.core.records import Record
from everfit.tasks.ledger.records import Decision, Turn
from everfit.tasks.monitoring.triage_history import OUTCOME
from everfit.tasks.pages.facts import ModelFacts
from everfit.tasks.pages.status import turn_in_words
from everfit.tasks.release.approval import APPROVAL
from everfit.tasks.release.traffic.trial import TRIAL

KINDS = {
    "turn": "turn",
    "release": "release",
    "rollback": "rollback",
    "outside": "champion set by hand",
    "approval": "approval",
    "trial": "trial on live traffic",
    "outcome": "outcome of a turn",
    "incident": "incident",
}
"""The kinds of marks, with their names for people."""


class Mark(Record):
    """An event.

    Attributes:
        at: The moment, in event time.
        kind: One of `KINDS`.
        title: In a few words.
        text: The reason.
        source: The row of the ledger, such as `turns/ID`.
    """

    at: AwareDatetime
    kind: str
    title: str
    text: str = ""
    source: str = ""


def marks_of(facts: ModelFacts) -> list[Mark]:
    """Return the events of a model, oldest first.

    Args:
        facts: The rows of the ledger.
    """
    return sorted(_marks(facts), key=lambda mark: mark.at)


def _marks(facts: ModelFacts) -> Iterator[Mark]:
    turns = {turn.id: turn for turn in facts.turns}
    for turn in facts.turns:
        source = f"turns/{turn.id}"
        yield Mark(at=turn.window.until, kind="turn", title=turn.state, text=turn_in_words(turn), source=source)
    for reign in facts.reigns:
        entry = reign.release
        kind = {"promotion": "release", "rollback": "rollback"}.get(entry.kind, "outside")
        again = " again" if kind == "rollback" else ""
        again += f", in place of version {entry.previous_version}" if again and entry.previous_version else ""
        title = f"version {entry.version} became the champion{again}, by {entry.actor or 'everfit'}"
        source = f"releases/{entry.model}/{entry.seq}"
        yield Mark(at=reign.since, kind=kind, title=title, text=entry.reason, source=source)
    for decision in facts.decisions:
        yield from _decided(decision, turns)
    for incident in facts.incidents:
        what = incident.alert.get("what") or incident.subject
        why = next(iter(map(str, incident.alert.get("why") or ())), "")
        over = "" if incident.closed_at is None else f" Over at {incident.closed_at:%Y-%m-%d %H:%M} UTC."
        title = f"{incident.severity}: {what}"
        source = f"incidents/{incident.id}"
        yield Mark(at=incident.opened_at, kind="incident", title=title, text=f"{why}{over}", source=source)


def _decided(decision: Decision, turns: dict[str, Turn]) -> Iterator[Mark]:
    kind = {APPROVAL: "approval", TRIAL: "trial", OUTCOME: "outcome"}.get(decision.kind)
    if kind is None or (kind == "trial" and decision.verdict in {"continue", "wait"}):
        return
    turn = turns.get(decision.turn_id or "")
    yield Mark(
        at=_place(decision, turn),
        kind=kind,
        title=f"{KINDS[kind]}: {decision.verdict.replace('_', ' ')}",
        text=next(iter(decision.reasons), ""),
        source=f"decisions/{decision.id}",
    )


def _place(decision: Decision, turn: Turn | None) -> datetime:
    """Return the place of a decision in event time: as long after its turn as the person took."""
    if decision.until is not None or turn is None:
        return decision.until or decision.at
    waited = decision.at - (turn.finished_at or turn.started_at)
    return turn.window.until + max(waited, timedelta(0))
