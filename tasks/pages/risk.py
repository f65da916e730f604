"""The risk of a champion: as its gate saw it, and reassessed by what has happened in its time. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from everfit.blocks.gating import LEVELS, Level
from everfit.tasks.core.records import Record
from everfit.tasks.ledger import Decision, Incident
from everfit.tasks.pages.facts import Reign
from everfit.tasks.pages.looks import LookSummary
from everfit.tasks.release.approval import APPROVAL_SUBJECT

KINDS_OF_TROUBLE = (
    "a rollback, a loss of quality that counts, a limit of fairness or calibration that is surely exceeded, drift in "
    "more than half of the looks, an incident"
)
_FEWEST = 2


class Risk(Record):
    """A risk, and what has happened since it was assessed.

    Attributes:
        before: The level at the release; None if it was not recorded.
        happened: One phrase for each kind of trouble.
    """

    before: Level | None = None
    happened: tuple[str, ...] = ()

    @property
    def now(self) -> Level | None:
        """The level with one step for each kind of trouble; None if it was not recorded."""
        if self.before is None:
            return None
        return LEVELS[min(LEVELS.index(self.before) + len(self.happened), len(LEVELS) - 1)]

    @property
    def summary(self) -> str:
        """The level at the release and what has happened, in words."""
        before = "not recorded at its release" if self.before is None else f"{self.before} at its release"
        return f"{before}; since then {'; '.join(self.happened) or 'no trouble'}"


def risk_of(
    reign: Reign,
    end: datetime,
    *,
    level: Level | None,
    looks: Iterable[LookSummary],
    incidents: Iterable[Incident],
    after: Reign | None = None,
) -> Risk:
    """Return the risk of a champion at the end of its time.

    Args:
        reign: The champion.
        end: The end of its time, or the present.
        level: The level of risk that its gate recorded.
        looks: Looks of the model.
        incidents: Incidents of the model; a challenger that waits for approval is no trouble of the champion.
        after: The champion that followed.
    """
    within = [look for look in looks if reign.since <= look.until <= end and look.champion in {None, reign.version}]
    happened = [] if after is None or after.release.kind != "rollback" else [_rolled_back(after)]
    happened += _found(within)
    troubles = (incident for incident in incidents if not incident.subject.startswith(APPROVAL_SUBJECT))
    opened = sum(reign.since <= incident.opened_at < end for incident in troubles)
    happened += [] if not opened else ["an incident" if opened == 1 else f"{opened:,} incidents"]
    return Risk(before=level, happened=tuple(happened))


def recorded_level(decisions: Iterable[Decision]) -> Level | None:
    """Return the level of risk that a turn's gate recorded; None without one.

    Args:
        decisions: The decisions of the turn.
    """
    levels = ((entry.record.get("decision") or {}).get("risk") for entry in decisions)
    return next((level for level in levels if level in LEVELS), None)


def _rolled_back(after: Reign) -> str:
    return f"rolled back: {after.release.reason or 'no reason was recorded'}"


def _found(looks: Sequence[LookSummary]) -> Iterator[str]:
    if lost := sum(look.lost for look in looks):
        yield f"quality was lost in {lost:,} of {len(looks):,} looks"
    limits = ("fairness.", "calibration.")
    exceeded = sum(any(one.beyond and one.name.startswith(limits) for one in look.limited) for look in looks)
    if exceeded:
        yield f"a limit of fairness or calibration was exceeded in {exceeded:,} of {len(looks):,} looks"
    known = [look.drift for look in looks if look.drift is not None]
    if len(known) >= _FEWEST and 2 * sum(known) > len(known):
        yield f"drift in {sum(known):,} of {len(known):,} looks"
