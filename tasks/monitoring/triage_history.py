"""What triage remembers, read from the ledger: the windows that were judged, and what came of the turns. Pure."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import FiniteFloat

from everfit.tasks.core.records import Record
from everfit.tasks.ledger import Decision, Ledger, Turn
from everfit.tasks.ledger.records import FAILED
from everfit.tasks.statistics.estimate_trust import PastEstimate
from everfit.tasks.triage import TriageDecision
from everfit.tasks.triage.history import History, Outcome, PastTurn, PastWindow
from everfit.tasks.triage.quality_loss import LossEvidence
from everfit.tasks.triage.signals import Signals
from everfit.tasks.turns.turn_record import (
    AWAITING_APPROVAL,
    CHAMPION_KEPT,
    DATA_REJECTED,
    DECLINED,
    NOTHING_NEW,
    ON_TRIAL,
    PROMOTED,
    RETURNED,
    SUPERSEDED,
)

TRIAGE = "triage"
"""Kind of the decisions that are read here."""

_NEWEST = 2_000
"""Of hourly windows these are twelve weeks; the decisions behind turns are remembered for ever."""

_OUTCOMES: dict[str, Outcome] = {
    "running": "running",
    "failed": "failed",
    PROMOTED: "promoted",
    CHAMPION_KEPT: "kept",
    DATA_REJECTED: "rejected",
    NOTHING_NEW: "nothing_new",
    AWAITING_APPROVAL: "awaiting_approval",
    ON_TRIAL: "awaiting_approval",  # by what comes true
    RETURNED: "kept",
    DECLINED: "kept",
    SUPERSEDED: "kept",
}
"""By state; any other name is one that a user's own flow gave."""


OUTCOME = "outcome"
"""Kind of the decisions that note what came of a turn that triage called for."""


_OPEN: frozenset[Outcome] = frozenset({"running", "failed", "awaiting_approval", "other"})


class TurnOutcome(Record):
    """What came of a turn that triage called for.

    Attributes:
        decision_id: The triage.
        turn_id: Its turn.
        state: How the turn ended.
        helped: Whether its champion is better than the one before it, on live rows; not, if it released none.
        gain: By how much, in the primary metric's unit.
    """

    decision_id: str
    turn_id: str
    state: str
    helped: bool
    gain: FiniteFloat | None = None

    @property
    def words(self) -> str:
        """In words."""
        if self.gain is None:
            return f"turn {self.turn_id} released nothing ({self.state})"
        better = "better" if self.gain > 0 else "worse"
        return f"the champion of turn {self.turn_id} is {abs(self.gain):.4g} {better} than the one before, on live rows"


class Judged(Record):
    """A window as it was judged: what the ledger keeps of a triage."""

    signals: Signals
    decision: TriageDecision
    estimate: PastEstimate | None = None


def remembered(ledger: Ledger, model: str, turns: Sequence[Turn]) -> list[Decision]:
    """The triages that matter to the next one: the newest, and those that called for a turn.

    Args:
        ledger: Keeps them.
        model: Name of the model.
        turns: Its turns.
    """
    newest = ledger.decisions.of(model, kind=TRIAGE, limit=_NEWEST)
    known = {entry.id for entry in newest}
    behind = [
        ledger.decisions.find(turn.trigger.id) for turn in turns if turn.trigger.id and turn.trigger.id not in known
    ]
    return [*(entry for entry in behind if entry is not None and entry.kind == TRIAGE), *newest]


def recalled(decisions: Sequence[Decision], before: datetime | None = None) -> list[Judged]:
    """All triages among decisions, by their window's end, and those of one window as they were made.

    Args:
        decisions: As the ledger has them.
        before: Windows that end then or later are left out.
    """
    found = [
        Judged.recall(entry.record)
        for entry in decisions
        if entry.kind == TRIAGE and entry.until is not None and (before is None or entry.until < before)
    ]
    return sorted(found, key=lambda each: each.decision.window.until)


def judged_windows(triages: Sequence[Judged]) -> list[Judged]:
    """The windows, oldest first; of one that was judged twice, the newer judgement."""
    return list({each.decision.window.until: each for each in triages}.values())


def history_of(triages: Sequence[Judged], turns: Sequence[Turn], until: datetime) -> History:
    """The history before a window's end.

    Args:
        triages: Of earlier windows, all of them: a turn may have been called for by one that was made anew since.
        turns: The model's turns, as they are seen now.
        until: The window's end; what came later plays no part.
    """
    judged = judged_windows(triages)
    windows: list[PastWindow] = [each.decision.remembered for each in judged]
    by_id = {each.decision.id: each.decision for each in triages}
    past = [past_turn(turn, by_id.get(turn.trigger.id), judged) for turn in begun(turns) if turn.window.until < until]
    return History(windows=tuple(windows), turns=tuple(sorted(past, key=lambda each: each.until)))


def begun(turns: Sequence[Turn]) -> list[Turn]:
    """All but those that were called for and given up before anybody began them: no training broke, and none was spent.

    Args:
        turns: As they are seen now.
    """
    return [turn for turn in turns if turn.state != FAILED or turn.attempt > 0]


def past_turn(turn: Turn, decision: TriageDecision | None, judged: Sequence[Judged] = ()) -> PastTurn:
    """A turn as triage and storm protection see it.

    Args:
        turn: As the ledger has it.
        decision: The triage behind it, if there is one.
        judged: The windows judged since, to see whether it helped.
    """
    loss = decision and _loss(decision)
    return PastTurn(
        turn_id=turn.id,
        until=turn.window.until,
        kind=turn.trigger.kind,
        signature=decision.signature if decision else "",
        reference=decision.reference if decision else "",
        outcome=outcome_of(turn),
        helped=None if (gain := live_gain(turn, judged)) is None else gain > 0,
        loss=loss.loss if loss else None,
        level=decision.level if decision else None,
        seconds=turn.seconds,
        why=_why(turn),
    )


def outcome_of(turn: Turn) -> Outcome:
    """Return how a turn ended: `other` if a user's own flow broke it off, or ended it under a name of its own."""
    if turn.state == FAILED and turn.record.get("own_flow"):
        return "other"
    return _OUTCOMES.get(turn.state, "other")


def _why(turn: Turn) -> str:
    if turn.state == DATA_REJECTED:
        return next(iter(turn.reasons), "its data was rejected")
    return turn.error or ""


def live_gain(turn: Turn, judged: Sequence[Judged]) -> float | None:
    """By how much a turn's champion beat the one before it on the first live rows that both were seen on."""
    if turn.state != PROMOTED:
        return None
    registered = (turn.record.get("version") or {}).get("version")
    for each in judged:
        reference, previous = each.signals.reference, each.signals.previous
        later = each.decision.window.until > turn.window.until
        # By its version: a trial or a person may have released it long after the turn.
        own = reference.version == registered if registered else reference.released == turn.window.until
        if later and own and previous.measured and previous.gain is not None:
            return -previous.gain
    return None


def outcomes(triages: Sequence[Judged], turns: Sequence[Turn]) -> tuple[TurnOutcome, ...]:
    """What has come of the turns that triage called for, as far as it is known.

    Args:
        triages: All of them, the newest included.
        turns: The model's turns.
    """
    by_trigger, judged = {turn.trigger.id: turn for turn in turns}, judged_windows(triages)
    found = []
    for each in triages:
        turn = by_trigger.get(each.decision.id)
        if turn is None or not turn.settled or outcome_of(turn) in _OPEN:
            continue
        gain = live_gain(turn, judged)
        if gain is None and turn.state == PROMOTED:
            continue  # its champion has not been seen beside the one before yet
        told = {"decision_id": each.decision.id, "turn_id": turn.id, "state": turn.state}
        found.append(TurnOutcome.model_validate({**told, "helped": gain is not None and gain > 0, "gain": gain}))
    return tuple(found)


def _loss(decision: TriageDecision) -> LossEvidence | None:
    return decision.loss or decision.estimated_loss
