"""The rows of the ledger about a model at a moment, as the status and the pages read them."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import AwareDatetime, Field

from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.core.records import Record
from everfit.tasks.ledger import Decision, Incident, Ledger, Release, Turn
from everfit.tasks.ledger.model_names import name_changes
from everfit.tasks.ledger.records import AWAITING_APPROVAL
from everfit.tasks.monitoring.champion_at import PLACING, release_time
from everfit.tasks.monitoring.triage_history import OUTCOME, TRIAGE
from everfit.tasks.pages.looks import LookSummary, look_of
from everfit.tasks.release.champions import made_champion

_KINDS = (*PLACING, OUTCOME)
"""The kinds of decisions that a page shows beside those of triage and of the gate."""
_LOOKS = 50
"""The newest looks, among which the newest with a measured quality is looked for."""


class Reign(Record):
    """A champion, from its release on.

    Attributes:
        since: When the release was decided, in event time.
    """

    version: int
    since: AwareDatetime
    release: Release


class ModelFacts(Record):
    """The rows of the ledger about a model that were known at a moment.

    Attributes:
        until: The moment, in event time.
        turns: All turns, oldest first, without their evidence.
        looks: The newest looks, oldest first.
        reigns: The champions, oldest first.
        unfinished: A release that was begun and has not ended.
        asked: The version of the challenger of each turn that waits for an approval.
        decisions: Decisions of people and of trials, oldest first.
        incidents: All incidents, oldest first.
        released_by: The decisions of the turn whose gate released the champion.
        changes: Decisions of people about the model's name and end.
        policy: The limits of the spec; None if the spec is not known here.
    """

    model: str
    until: AwareDatetime
    turns: tuple[Turn, ...] = ()
    looks: tuple[LookSummary, ...] = ()
    reigns: tuple[Reign, ...] = ()
    unfinished: Release | None = None
    asked: dict[str, int | None] = Field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()
    incidents: tuple[Incident, ...] = ()
    released_by: tuple[Decision, ...] = ()
    changes: tuple[Decision, ...] = ()
    policy: RetrainingPolicy | None = None


def read_model_facts(
    ledger: Ledger, model: str, until: datetime, *, policy: RetrainingPolicy | None = None, looks: int = _LOOKS
) -> ModelFacts:
    """Read what the ledger knows of a model at a moment.

    Args:
        ledger: The ledger.
        model: The name of the model.
        until: The moment, in event time.
        policy: The limits of the spec, if the spec is known.
        looks: How many of the newest looks to read.
    """
    turns = [turn for turn in ledger.turns.brief(model) if turn.window.until <= until]
    decisions = [entry for kind in dict.fromkeys(_KINDS) for entry in ledger.decisions.of(model, kind=kind)]
    newest = [look_of(entry) for entry in ledger.decisions.of(model, kind=TRIAGE, limit=looks)]
    waiting = [turn for turn in turns if turn.state == AWAITING_APPROVAL]
    full = ledger.turns.of(model, state=AWAITING_APPROVAL) if waiting else []
    reigns = reigns_of(ledger.releases.of(model), turns, decisions, until)
    released_by = releasing_turn(reigns[-1], reigns) if reigns else ""
    return ModelFacts(
        model=model,
        until=until,
        turns=tuple(turns),
        looks=tuple(sorted((look for look in newest if look.until <= until), key=lambda look: (look.until, look.at))),
        reigns=reigns,
        unfinished=ledger.releases.unfinished(model),
        asked={turn.id: _version(turn) for turn in full},
        decisions=tuple(sorted(decisions, key=lambda entry: entry.at)),
        incidents=tuple(entry for entry in ledger.incidents.of(model) if entry.opened_at <= until),
        released_by=tuple(ledger.decisions.of(model, turn_id=released_by)) if released_by else (),
        changes=tuple(name_changes(ledger, model)),
        policy=policy,
    )


def reigns_of(
    releases: Sequence[Release], turns: Sequence[Turn], decisions: Sequence[Decision], until: datetime
) -> tuple[Reign, ...]:
    """Return the champions in the order of their releases, those that were released by a moment.

    Args:
        releases: All releases of a model.
        turns: Its turns.
        decisions: Its decisions of the kinds in `PLACING`.
        until: The moment.
    """
    by_id = {turn.id: turn for turn in turns}
    placed = [
        Reign(version=entry.version, since=release_time(entry, by_id, decisions, until), release=entry)
        for entry in sorted(made_champion(releases), key=lambda entry: entry.seq)
    ]
    return tuple(reign for reign in placed if reign.since <= until)


def releasing_turn(reign: Reign, reigns: Sequence[Reign]) -> str:
    """Return the turn whose gate released a champion; after a rollback, the one that released the version before.

    Args:
        reign: The champion.
        reigns: All champions.
    """
    of_version = [one.release.turn_id for one in (reign, *reigns) if one.version == reign.version]
    return next(filter(None, of_version), "")


def _version(turn: Turn) -> int | None:
    version = (turn.record.get("version") or {}).get("version")
    return version if isinstance(version, int) else None
