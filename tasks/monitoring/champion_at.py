"""The champion at a moment of event time: version, release and previous champion. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import AwareDatetime

from everfit.blocks.errors import NoChampionError
from everfit.tasks.core.records import Record
from everfit.tasks.ledger import Decision, Release, Turn
from everfit.tasks.release.approval import APPROVAL, waiting_time
from everfit.tasks.release.champions import made_champion, succession
from everfit.tasks.release.traffic.trial import TRIAL
from everfit.tasks.statistics.profile import Profile
from everfit.tasks.triage.signals import ChampionReference
from everfit.tasks.turns.turn_record import PROMOTED

ROLLBACK = "rollback"
"""Kind of the decisions that note a rollback's place in event time."""

PLACING = (ROLLBACK, TRIAL, APPROVAL)
"""Kinds of the decisions that place a release in event time."""


class ChampionAt(Record):
    """The champion whose window is monitored."""

    model: str
    version: int
    run_id: str
    released: AwareDatetime
    turn_id: str | None = None
    previous_version: int | None = None

    def reference(self, profile: Profile, trained_until: datetime) -> ChampionReference:
        """Return the champion with what it was trained on, as triage reads it.

        Args:
            profile: The profile of its training data.
            trained_until: The champion has seen no row at or after this.
        """
        return ChampionReference(
            version=self.version,
            id=f"v{self.version}-{profile.digest()[:12]}",
            released=self.released,
            trained_until=trained_until,
            training_rows=profile.rows,
            previous_version=self.previous_version,
        )

    def turn_among(self, turns: Sequence[Turn]) -> Turn | None:
        """Return the turn that trained the champion, or None.

        A challenger that has waited for evidence was released by a later turn than the one that trained it.
        """
        for turn in turns:
            record = turn.record.get("version") or {}
            if turn.id == self.turn_id or (turn.state == PROMOTED and record.get("version") == self.version):
                if turn.trigger.kind != "waiting":
                    return turn
                trained = (one for one in turns if one.trigger.kind != "waiting")
                return next((one for one in trained if one.record.get("version") == record), turn)
        return None


def champion_at(
    releases: Sequence[Release], turns: Mapping[str, Turn], decisions: Sequence[Decision], until: datetime
) -> ChampionAt:
    """Return the champion that was released before a window's end.

    Later releases played no part in the window. So a window that is measured again, after the retraining that it
    caused, gives the same result.

    Args:
        releases: All releases of a model.
        turns: Its turns by id.
        decisions: Its decisions of the kinds in `PLACING`.
        until: The window's end.

    Raises:
        NoChampionError: the model has never had a champion.
    """
    champions = made_champion(releases)
    places = {entry.seq: release_time(entry, turns, decisions, until) for entry in champions}
    known = [entry for entry in champions if places[entry.seq] < until]
    if not known:  # the very first champion, released at this moment: it has answered nothing yet
        known = sorted(champions, key=lambda entry: entry.seq)[:1]
    line = succession(known)
    if not line:
        name = releases[0].model if releases else "the model"
        raise NoChampionError(f"{name} has no champion to monitor; run `everfit train` first")
    champion = line[-1]
    return ChampionAt(
        model=champion.model,
        version=champion.version,
        run_id=champion.run_id,
        released=places[champion.seq],
        turn_id=champion.turn_id,
        previous_version=line[-2].version if len(line) > 1 else None,
    )


def release_time(
    release: Release, turns: Mapping[str, Turn], decisions: Sequence[Decision], until: datetime
) -> datetime:
    """Return when a release was decided, in event time.

    The decision is the turn's gate, the end of its trial, a person's approval (as long after the turn as the person
    took to answer), or the triage that rolled back.

    A release by hand has only a time on the clock. In a replay of history that time lies after all windows, so the
    moment before the window's end replaces it.
    """
    if release.turn_id is not None and release.turn_id in turns:
        return _decided(turns[release.turn_id], [entry for entry in decisions if entry.turn_id == release.turn_id])
    for decision in decisions:
        if decision.kind == ROLLBACK and decision.record.get("seq") == release.seq and decision.until is not None:
            return decision.until
    is_replay = any(turn.window.until > until for turn in turns.values())
    return release.at if release.at < until or is_replay else until - until.resolution


def _decided(turn: Turn, decisions: Sequence[Decision]) -> datetime:
    """Return when the release of a turn's challenger was decided, from the turn's own decisions."""
    for decision in decisions:
        if decision.kind == TRIAL and decision.verdict == "release" and decision.until is not None:
            return decision.until
    for decision in decisions:
        if decision.kind == APPROVAL and decision.verdict == "approve":
            return turn.window.until + waiting_time(decision)
    return turn.window.until
