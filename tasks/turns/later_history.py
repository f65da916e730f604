"""The later history of a turn: its decisions and approval, its releases, and what became of its version."""

from datetime import datetime
from typing import Any

from everfit.tasks.ledger import Ledger, Release

_APPROVAL = "approval"


def later_history(ledger: Ledger, turn_id: str) -> dict[str, Any]:
    """Return all that the ledger knows about a turn and its version, as plain data, for an auditor.

    Args:
        ledger: The ledger.
        turn_id: The turn.

    Returns:
        The turn's decisions, such as those of the gate and of the person who approved; its releases; the release that
        came after, such as a rollback; the verdicts of the looks at the version; and the incidents meanwhile, with the
        turn's own request for approval.
    """
    story = ledger.story(turn_id)
    model, number = story.turn.model, (story.turn.record.get("version") or {}).get("version")
    releases = ledger.releases.of(model)
    own = [entry for entry in releases if entry.turn_id == turn_id or (number and entry.version == number)]
    spans = [(entry.at, _end(entry, releases)) for entry in own if entry.state != "undone"]
    looks = [entry for entry in ledger.decisions.of(model, kind="triage") if _is_within(entry.at, spans)]
    return {
        "turn": {"id": turn_id, "state": story.turn.state, "reasons": list(story.turn.reasons)},
        "decisions": [entry.model_dump(mode="json", exclude={"record"}) for entry in story.decisions],
        "approval": [entry.model_dump(mode="json") for entry in story.decisions if entry.kind == _APPROVAL],
        "releases": [entry.model_dump(mode="json") for entry in own],
        "replaced_by": [
            entry.model_dump(mode="json") for entry in releases if number and entry.previous_version == number
        ],
        "looks": [{"until": entry.until, "verdict": entry.verdict, "reasons": list(entry.reasons)} for entry in looks],
        "incidents": [
            entry.model_dump(mode="json")
            for entry in ledger.incidents.of(model)
            if turn_id in entry.subject or _is_within(entry.opened_at, spans)
        ],
    }


def _end(release: Release, releases: list[Release]) -> datetime | None:
    """Return when a release was replaced; None while its version is the champion."""
    return next((entry.at for entry in releases if entry.seq > release.seq and entry.state != "undone"), None)


def _is_within(moment: datetime, spans: list[tuple[datetime, datetime | None]]) -> bool:
    return any(since <= moment and (until is None or moment < until) for since, until in spans)
