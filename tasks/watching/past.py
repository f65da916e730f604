"""What triage remembers, read from the ledger: the windows that were judged, and what came of the turns. Pure."""

from collections.abc import Sequence
from datetime import datetime

from everfit.tasks.ledger import Decision, Turn
from everfit.tasks.records import Record
from everfit.tasks.triage import TriageDecision
from everfit.tasks.triage.history import History, Outcome, PastTurn, PastWindow
from everfit.tasks.triage.loss import LossEvidence
from everfit.tasks.triage.signals import Signals
from everfit.tasks.turns import (
    AWAITING_APPROVAL,
    CHAMPION_KEPT,
    DATA_REJECTED,
    NOTHING_NEW,
    ON_TRIAL,
    PROMOTED,
    RETURNED,
)
from everfit.tasks.watching.track_record import PastEstimate

TRIAGE = "triage"
"""Kind of the decisions that are read here."""

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
}


class Judged(Record):
    """A window as it was judged: what the ledger keeps of a triage."""

    signals: Signals
    decision: TriageDecision
    estimate: PastEstimate | None = None


def judged_windows(decisions: Sequence[Decision], until: datetime) -> list[Judged]:
    """The windows that end before a moment, oldest first; of one that was judged twice, the newer judgement."""
    found: dict[datetime, Judged] = {}
    for entry in decisions:
        if entry.kind == TRIAGE and entry.until is not None and entry.until < until:
            found[entry.until] = Judged.recall(entry.record)
    return [found[end] for end in sorted(found)]


def history_of(judged: Sequence[Judged], turns: Sequence[Turn], until: datetime) -> History:
    """The history before a window's end.

    Args:
        judged: Earlier windows.
        turns: The model's turns, as they are seen now.
        until: The window's end; what came later plays no part.
    """
    windows: list[PastWindow] = [each.decision.remembered for each in judged]
    by_id = {each.decision.id: each.decision for each in judged}
    past = [past_turn(turn, by_id.get(turn.trigger.id), judged) for turn in turns if turn.window.until < until]
    return History(windows=tuple(windows), turns=tuple(sorted(past, key=lambda each: each.until)))


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
        outcome=_OUTCOMES.get(turn.state, "kept"),
        helped=None if (gain := live_gain(turn, judged)) is None else gain > 0,
        loss=loss.loss if loss else None,
        level=decision.level if decision else None,
        seconds=turn.seconds,
    )


def live_gain(turn: Turn, judged: Sequence[Judged]) -> float | None:
    """By how much a turn's champion beat the one before it on the first live rows that both were seen on."""
    if turn.state != PROMOTED:
        return None
    for each in judged:
        reference, previous = each.signals.reference, each.signals.previous
        later = each.decision.window.until > turn.window.until
        if later and reference.released == turn.window.until and previous.measured and previous.gain is not None:
            return -previous.gain
    return None


def _loss(decision: TriageDecision) -> LossEvidence | None:
    return decision.loss or decision.estimated_loss
