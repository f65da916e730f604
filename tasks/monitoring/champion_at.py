"""The champion as it stood at a moment of event time: which version, since when, after which. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import AwareDatetime

from everfit.blocks.errors import NoChampionError
from everfit.tasks.core.records import Record
from everfit.tasks.ledger import Decision, Release, Turn
from everfit.tasks.release.approval import APPROVAL, waiting_time
from everfit.tasks.release.champions import made_champion, succession
from everfit.tasks.release.traffic.trial import TRIAL

ROLLBACK = "rollback"
"""Kind of the decision that notes a rollback's place in event time."""

PLACING = (ROLLBACK, TRIAL, APPROVAL)
"""Kinds of the decisions that say when a release took place."""


class Standing(Record):
    """The champion that a window is judged by."""

    model: str
    version: int
    run_id: str
    released: AwareDatetime
    turn_id: str | None = None
    previous_version: int | None = None


def standing(
    releases: Sequence[Release], turns: Mapping[str, Turn], decisions: Sequence[Decision], until: datetime
) -> Standing:
    """The champion whose release came before a window's end; a later one has had no part in the window.

    So a window that is looked at again, after the retraining that it called for, is judged as it was the first time.

    Args:
        releases: All of a model.
        turns: Its turns by id.
        decisions: Those of `PLACING`.
        until: The window's end.

    Raises:
        NoChampionError: the model has never had a champion.
    """
    made = made_champion(releases)
    places = {entry.seq: event_time(entry, turns, decisions, until) for entry in made}
    known = [entry for entry in made if places[entry.seq] < until]
    if not known:  # the very first one, released as of this moment: it has answered nothing yet
        known = sorted(made, key=lambda entry: entry.seq)[:1]
    line = succession(known)
    if not line:
        name = releases[0].model if releases else "the model"
        raise NoChampionError(f"{name} has no champion to watch; run `everfit train` first")
    champion = line[-1]
    return Standing(
        model=champion.model,
        version=champion.version,
        run_id=champion.run_id,
        released=places[champion.seq],
        turn_id=champion.turn_id,
        previous_version=line[-2].version if len(line) > 1 else None,
    )


def event_time(release: Release, turns: Mapping[str, Turn], decisions: Sequence[Decision], until: datetime) -> datetime:
    """When a release took place, in event time: as of what decided it.

    That is the turn's gate, the look that ended its trial, the person who approved it (as long after the turn as the
    answer was waited for), or the triage that rolled back.

    One by a person's hand has a place on the clock only. Where history is replayed that lies after all windows, and
    the moment before the window's end stands in for it.
    """
    if release.turn_id is not None and release.turn_id in turns:
        return _decided(turns[release.turn_id], [entry for entry in decisions if entry.turn_id == release.turn_id])
    for decision in decisions:
        if decision.kind == ROLLBACK and decision.record.get("seq") == release.seq and decision.until is not None:
            return decision.until
    looking_back = any(turn.window.until > until for turn in turns.values())
    return release.at if release.at < until or looking_back else until - until.resolution


def _decided(turn: Turn, decisions: Sequence[Decision]) -> datetime:
    """When it was decided that a turn's challenger is released; its own decisions are given."""
    for decision in decisions:
        if decision.kind == TRIAL and decision.verdict == "release" and decision.until is not None:
            return decision.until
    for decision in decisions:
        if decision.kind == APPROVAL and decision.verdict == "approve":
            return turn.window.until + waiting_time(decision)
    return turn.window.until
