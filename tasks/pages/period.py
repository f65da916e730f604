"""A period of a model's life, with the rows of the ledger that prove it: what is read, and the facts in it.

The content of a report is plain data: the rows and the chain over them, the looks in short, and the incidents. All
that a report says follows from it.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime

from everfit.blocks.errors import EverfitError
from everfit.tasks.core.records import Record
from everfit.tasks.ledger import Decision, Incident, Ledger, Release, Turn, TurnStory
from everfit.tasks.ledger.chain_check import check_chain
from everfit.tasks.ledger.chain_proof import ChainProof, read_proof
from everfit.tasks.ledger.chain_signatures import SIGNATURE, SignedLink
from everfit.tasks.ledger.decisions import decision_of
from everfit.tasks.ledger.model_names import RENAMING, RETIREMENT
from everfit.tasks.ledger.releases import release_of
from everfit.tasks.ledger.turn_rows import turn_of
from everfit.tasks.monitoring.champion_at import PLACING
from everfit.tasks.monitoring.triage_history import OUTCOME, TRIAGE
from everfit.tasks.monitoring.worth import WORTH
from everfit.tasks.pages.facts import ModelFacts, Reign, read_model_facts, reigns_of
from everfit.tasks.pages.looks import LookSummary, look_of

_PART = 1_000
_PROVEN = 400
"""The looks whose rows are in a report: the newest of those that found something, then the newest healthy ones."""
_NAMED = 20
"""The rows that don't fit the chain that a report names."""
_HUMAN = (*PLACING, OUTCOME, RENAMING, RETIREMENT)


class PeriodContent(Record):
    """The content of a report of a period.

    Attributes:
        since: The start of the period, in event time.
        until: Its end.
        written_at: When the rows were read.
        everfit: The version of everfit that wrote the report.
        proof: Rows of the ledger, and its chain.
        looks: The looks of the period in short, oldest first.
        incidents: The incidents of the period, oldest first. They change while they last, so no chain covers them.
        unfit: One sentence for each row and link of the ledger that didn't fit its chain when the rows were read, also
            for rows that the report doesn't have.
    """

    format: int = 1
    model: str
    since: AwareDatetime
    until: AwareDatetime
    written_at: AwareDatetime
    everfit: str
    proof: ChainProof
    looks: tuple[LookSummary, ...] = ()
    incidents: tuple[Incident, ...] = ()
    unfit: tuple[str, ...] = ()


class Period(Record):
    """A period, as its rows tell it.

    Attributes:
        facts: The rows known at its end. The turns and decisions are those of the period and those that released
            earlier champions.
        since: Its start.
        stories: The turns of the facts with their decisions and releases, oldest first.
        reigns: The champions of the period, oldest first; the first may have begun before.
        releases: The releases of the period.
        people: The decisions of people and trials in the period.
        looks: The looks of the period in short.
        seen: The looks whose rows are in the report and that found something, oldest first.
        proven: The number of looks whose rows are in the report.
        signed: The signed links of the chain.
        worth: The decisions that say what the loop was worth in each month that ended within the period, oldest first.
    """

    facts: ModelFacts
    since: AwareDatetime
    stories: tuple[TurnStory, ...] = ()
    reigns: tuple[Reign, ...] = ()
    releases: tuple[Release, ...] = ()
    people: tuple[Decision, ...] = ()
    looks: tuple[LookSummary, ...] = ()
    seen: tuple[Decision, ...] = ()
    proven: int = 0
    signed: tuple[SignedLink, ...] = ()
    worth: tuple[Decision, ...] = ()

    @property
    def turns(self) -> tuple[TurnStory, ...]:
        """The turns of the period, oldest first."""
        return tuple(story for story in self.stories if story.turn.window.until >= self.since)


def read_period(
    ledger: Ledger, model: str, since: datetime, until: datetime, *, now: datetime, version: str
) -> PeriodContent:
    """Read the content of a report.

    Args:
        ledger: The ledger.
        model: The name of the model.
        since: The start of the period, in event time.
        until: Its end.
        now: The present.
        version: The version of everfit.

    Raises:
        EverfitError: The period is empty.
    """
    if since >= until:
        raise EverfitError(
            f"the period from {since.isoformat()} to {until.isoformat()} is empty; give an earlier --since"
        )
    facts = read_model_facts(ledger, model, until)
    released = {reign.release.turn_id for reign in facts.reigns if reign.release.turn_id}
    turns = {turn.id for turn in facts.turns if turn.window.until >= since} | released
    wanted = {entry.id for entry in (*facts.decisions, *facts.changes)}
    wanted |= {entry.id for entry in ledger.decisions.of(model, kind=SIGNATURE)}
    first, newest = f"{since:%Y-%m}", f"{until:%Y-%m}"
    worth = ledger.decisions.of(model, kind=WORTH)
    wanted |= {entry.id for entry in worth if first <= str(entry.record.get("month")) <= newest}
    wanted |= {entry.id for turn in turns for entry in ledger.decisions.of(model, turn_id=turn)}
    looks = {look.until: look for look in _looks(ledger, model, since, until)}
    ordered = [look for _, look in sorted(looks.items())]
    proof = read_proof(ledger.store, model, {"turns": turns, "decisions": wanted | _proven(ordered)})
    problems = check_chain(ledger.store, model).problems
    left = len(problems) - _NAMED
    incidents = [entry for entry in facts.incidents if entry.closed_at is None or entry.closed_at >= since]
    return PeriodContent(
        model=model,
        since=since,
        until=until,
        written_at=now,
        everfit=version,
        proof=proof,
        looks=tuple(ordered),
        incidents=tuple(incidents),
        unfit=(*problems[:_NAMED], *([f"and {left:,} more"] if left > 0 else ())),
    )


def period_of(content: PeriodContent) -> Period:
    """Return the period from the rows of a report.

    Args:
        content: The content of the report.

    Raises:
        LedgerError: The rows can't be read.
    """
    rows = content.proof.unpack()
    turns = sorted(map(turn_of, rows["turns"]), key=lambda turn: (turn.window.until, turn.seq))
    decisions = sorted(map(decision_of, rows["decisions"]), key=lambda entry: entry.at)
    releases = sorted(map(release_of, rows["releases"]), key=lambda entry: entry.seq)
    human = [entry for entry in decisions if entry.kind in _HUMAN]
    reigns = reigns_of(releases, turns, [entry for entry in human if entry.kind in PLACING], content.until)
    within = [reign.release.seq for reign in reigns if reign.since >= content.since]
    started = next((reign for reign in reversed(reigns) if reign.since < content.since), None)
    seen = [entry for entry in decisions if entry.kind == TRIAGE]
    facts = ModelFacts(
        model=content.model,
        until=content.until,
        turns=tuple(turns),
        looks=content.looks,
        reigns=reigns,
        unfinished=next((entry for entry in releases if entry.state in {"intent", "alias_set"}), None),
        asked={turn.id: _version(turn) for turn in turns},
        decisions=tuple(entry for entry in human if entry.kind in {*PLACING, OUTCOME}),
        incidents=content.incidents,
        changes=tuple(entry for entry in human if entry.kind in {RENAMING, RETIREMENT}),
    )
    return Period(
        facts=facts,
        since=content.since,
        stories=tuple(
            TurnStory(
                turn=turn,
                decisions=tuple(entry for entry in decisions if entry.turn_id == turn.id),
                releases=tuple(entry for entry in releases if entry.turn_id == turn.id),
            )
            for turn in turns
        ),
        reigns=(*([started] if started else ()), *(reign for reign in reigns if reign.release.seq in within)),
        releases=tuple(entry for entry in releases if entry.seq in within or _undone_within(entry, content)),
        people=tuple(entry for entry in human if content.since <= (entry.until or entry.at) <= content.until),
        looks=content.looks,
        seen=tuple(entry for entry in seen if entry.verdict != "healthy"),
        proven=len(seen),
        worth=tuple(sorted((entry for entry in decisions if entry.kind == WORTH), key=_month)),
        signed=tuple(SignedLink.recall(entry.record) for entry in decisions if entry.kind == SIGNATURE),
    )


def looks_that_differ(content: PeriodContent) -> list[str]:
    """Return one sentence for each look in short that is not as its row says.

    Args:
        content: The content of the report.
    """
    rows = {entry["id"]: decision_of(entry) for entry in content.proof.unpack()["decisions"] if entry["kind"] == TRIAGE}
    given = {look.id: look for look in content.looks}
    return [
        f"look {name!r} is not as its row says"
        for name, row in rows.items()
        if name not in given or look_of(row) != given[name]
    ]


def _looks(ledger: Ledger, model: str, since: datetime, until: datetime) -> Iterator[LookSummary]:
    """Yield the looks of a period; some come twice. A look is recorded after its window has ended."""
    cursor = since
    while True:
        part = ledger.decisions.since(model, kind=TRIAGE, at=cursor, until=until, limit=_PART)
        yield from (look_of(entry) for entry in part if entry.until is None or entry.until >= since)
        if len(part) < _PART or part[-1].at == cursor:
            return
        cursor = part[-1].at


def _proven(looks: list[LookSummary]) -> set[str]:
    """Return the ids of the looks whose rows a report has."""
    found = [look.id for look in looks if look.verdict != "healthy"][-_PROVEN:]
    healthy = [look.id for look in looks if look.verdict == "healthy"]
    return {*found, *healthy[max(len(healthy) - (_PROVEN - len(found)), 0) :]}


def _undone_within(entry: Release, content: PeriodContent) -> bool:
    return entry.state == "undone" and content.since <= entry.at <= content.until


def _month(entry: Decision) -> str:
    return str(entry.record.get("month"))


def _version(turn: Turn) -> int | None:
    version: Any = (turn.record.get("version") or {}).get("version")
    return version if isinstance(version, int) else None
