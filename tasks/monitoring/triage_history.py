"""The history that triage reads, from the ledger: earlier windows, and the outcomes of turns. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import Field, FiniteFloat, ValidationError

from everfit.tasks.core.paired_comparison import PairedComparison
from everfit.tasks.core.records import Record, Trigger
from everfit.tasks.gate import Check
from everfit.tasks.gate.checks import comparison
from everfit.tasks.gate.earlier_releases import EarlierRelease, release_odds
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
from everfit.tasks.turns.waiting import waiting_of

TRIAGE = "triage"
"""Kind of the decisions that this module reads."""

_NEWEST = 2_000
"""Twelve weeks of hourly windows; decisions that called a turn are kept for ever."""

_OUTCOMES: dict[str, Outcome] = {
    "running": "running",
    "failed": "failed",
    PROMOTED: "promoted",
    CHAMPION_KEPT: "kept",
    DATA_REJECTED: "rejected",
    NOTHING_NEW: "nothing_new",
    AWAITING_APPROVAL: "awaiting_approval",
    ON_TRIAL: "awaiting_approval",  # by live quality
    RETURNED: "kept",
    DECLINED: "kept",
    SUPERSEDED: "kept",
}
"""By state; every other name comes from a user's own flow, or from a judgement of a waiting challenger."""


OUTCOME = "outcome"
"""Kind of the decisions that record the outcome of a turn that triage called."""


_OPEN: frozenset[Outcome] = frozenset({"running", "failed", "awaiting_approval", "other"})


class TurnOutcome(Record):
    """The outcome of a turn that triage called.

    Attributes:
        decision_id: The triage decision.
        turn_id: The turn that it called.
        state: The turn's final state.
        helped: Whether the new champion is better than the previous one on live rows; False if there is none.
        gain: By how much it is better, in the primary metric's unit.
    """

    decision_id: str
    turn_id: str
    state: str
    helped: bool
    gain: FiniteFloat | None = None

    @property
    def summary(self) -> str:
        """The outcome in one sentence."""
        if self.gain is None:
            return f"turn {self.turn_id} released nothing ({self.state})"
        better = "better" if self.gain > 0 else "worse"
        return (
            f"the champion of turn {self.turn_id} is {abs(self.gain):.4g} {better} than the previous one on live rows"
        )


class LookBasis(Record):
    """The state of a model by which a look can tell whether anything is new.

    Attributes:
        tables: The versions of the tables of predictions and labels; a missing table has none.
        spec: Digest of the spec.
        release: Number of the champion's release.
        pending: Something that changes by itself, in words, such as a trial; empty if there is nothing.
    """

    tables: dict[str, int]
    spec: str
    release: int
    pending: str = ""


def _is_empty(value: object) -> bool:
    return not value


class JudgedWindow(Record):
    """A window with its evidence and decision, as the ledger keeps it.

    Attributes:
        columns: The drift of each compared column, as a multiple of its threshold.
        runs: The runs with the evidence, `mlflow` and `prefect`, and the file of the drift report, `report`.
    """

    signals: Signals
    decision: TriageDecision
    estimate: PastEstimate | None = None
    basis: LookBasis | None = Field(default=None, exclude_if=lambda basis: basis is None)
    columns: dict[str, FiniteFloat] = Field(default_factory=dict, exclude_if=_is_empty)
    runs: dict[str, str] = Field(default_factory=dict, exclude_if=_is_empty)


def triage_entries(ledger: Ledger, model: str, turns: Sequence[Turn]) -> list[Decision]:
    """Return the triage decisions that matter to the next one: the newest, and those that called a turn.

    Args:
        ledger: The ledger.
        model: The model's name.
        turns: The model's turns.
    """
    newest = ledger.decisions.of(model, kind=TRIAGE, limit=_NEWEST)
    known = {entry.id for entry in newest}
    behind = [
        ledger.decisions.find(turn.trigger.id) for turn in turns if turn.trigger.id and turn.trigger.id not in known
    ]
    return [*(entry for entry in behind if entry is not None and entry.kind == TRIAGE), *newest]


def is_called_by_measured_loss(ledger: Ledger, trigger: Trigger) -> bool:
    """Return whether a decision of triage called the turn of a trigger for a loss that labels show."""
    decision = ledger.decisions.find(trigger.id) if trigger.kind == "quality" and trigger.id else None
    if decision is None or decision.kind != TRIAGE:
        return False
    return JudgedWindow.recall(decision.record).decision.is_called_by_measured_loss


def read_triages(decisions: Sequence[Decision], before: datetime | None = None) -> list[JudgedWindow]:
    """Return the triage decisions in the order of their windows' ends; those of one window in the order of decision.

    Args:
        decisions: Decisions of any kind.
        before: Windows that end then or later are left out.
    """
    triages = [
        JudgedWindow.recall(entry.record)
        for entry in decisions
        if entry.kind == TRIAGE and entry.until is not None and (before is None or entry.until < before)
    ]
    return sorted(triages, key=lambda judged: judged.decision.window.until)


def newest_judgements(triages: Sequence[JudgedWindow]) -> list[JudgedWindow]:
    """Return one decision per window, oldest first; of a window that was decided twice, the newer decision."""
    return list({judged.decision.window.until: judged for judged in triages}.values())


def history_of(triages: Sequence[JudgedWindow], turns: Sequence[Turn], until: datetime) -> History:
    """Return the history before a window's end.

    Args:
        triages: All decisions about earlier windows: an older decision about a window may have called a turn.
        turns: The model's turns as of now.
        until: The window's end; later entries are left out.
    """
    judged = newest_judgements(triages)
    windows: list[PastWindow] = [window.decision.remembered for window in judged]
    by_id = {window.decision.id: window.decision for window in triages}
    past = [
        past_turn(turn, by_id.get(turn.trigger.id), judged)
        for turn in started_turns(turns)
        if turn.window.until < until
    ]
    return History(windows=tuple(windows), turns=tuple(sorted(past, key=lambda turn: turn.until)))


def started_turns(turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns that were started; a call that expired unstarted has trained nothing and broken nothing.

    Args:
        turns: The model's turns as of now.
    """
    return [turn for turn in turns if turn.state != FAILED or turn.attempt > 0]


def past_turn(turn: Turn, decision: TriageDecision | None, judged: Sequence[JudgedWindow] = ()) -> PastTurn:
    """Return a turn as triage and storm protection see it.

    Args:
        turn: The turn.
        decision: The triage decision that called it, if any.
        judged: The windows since then, which show whether it helped.
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
        live_gain=gain,
        loss=loss.loss if loss else None,
        loss_rows=loss.rows if loss else None,
        level=decision.level if decision else None,
        version=_registered(turn),
        growth_to_show=_growth_to_show(turn),
        unseen_rows=decision.unseen_rows if decision else None,
        waits=None if (waiting := waiting_of(turn)) is None else waiting.version,
        waits_against=None if waiting is None else waiting.champion,
        judged_by=None if waiting is None else waiting.rows,
        seconds=turn.seconds,
        reason=_failure(turn),
    )


def outcome_of(turn: Turn) -> Outcome:
    """Return how a turn ended: `other` if a user's own flow broke it off, or ended it under a name of its own."""
    if turn.state == FAILED and turn.record.get("own_flow"):
        return "other"
    return _OUTCOMES.get(turn.state, "other")


def _failure(turn: Turn) -> str:
    if turn.state == DATA_REJECTED:
        return next(iter(turn.reasons), "its data was rejected")
    return turn.error or ""


def _registered(turn: Turn) -> int | None:
    """Return the version that a turn has registered, if any."""
    version = (turn.record.get("version") or {}).get("version")
    return version if isinstance(version, int) else None


def _growth_to_show(turn: Turn) -> float | None:
    """Return how many times as many rows would show the gain that a turn measured, at the error of its next try.

    None if it measured no gain, or recorded it in a form that is not known.
    """
    evidence, decision = turn.record.get("evidence"), turn.record.get("decision")
    if not isinstance(evidence, Mapping) or not isinstance(decision, Mapping):
        return None
    try:
        paired = PairedComparison.model_validate(evidence.get("comparison"))
        checks = [Check.model_validate(check) for check in decision.get("checks", ())]
        earlier = [EarlierRelease.model_validate(release) for release in evidence.get("earlier_releases", ())]
    except ValidationError:
        return None
    bound = next((check.bound for check in checks if check.name == comparison.CHECK.name), None)
    attempt = evidence.get("attempt", 1)
    if bound is None or not isinstance(attempt, int):
        return None
    return comparison.growth_to_show(paired, bound, attempt, release_odds(earlier))


def live_gain(turn: Turn, judged: Sequence[JudgedWindow]) -> float | None:
    """Return a champion's gain over the previous one on the first live rows of both; None if it is not known."""
    if turn.state != PROMOTED:
        return None
    registered = _registered(turn)
    for window in judged:
        reference, previous = window.signals.reference, window.signals.previous
        later = window.decision.window.until > turn.window.until
        # Compare versions, not times: a trial or a person may have released it long after the turn.
        own = reference.version == registered if registered else reference.released == turn.window.until
        if later and own and previous.measured and previous.gain is not None:
            return -previous.gain
    return None


def turn_outcomes(triages: Sequence[JudgedWindow], turns: Sequence[Turn]) -> tuple[TurnOutcome, ...]:
    """Return the known outcomes of the turns that triage called.

    Args:
        triages: All triage decisions, the newest included.
        turns: The model's turns.
    """
    by_trigger, judged = {turn.trigger.id: turn for turn in turns}, newest_judgements(triages)
    outcomes = []
    for window in triages:
        turn = by_trigger.get(window.decision.id)
        if turn is None or not turn.settled or outcome_of(turn) in _OPEN:
            continue
        gain = live_gain(turn, judged)
        if gain is None and turn.state == PROMOTED:
            continue  # no window has compared its champion with the previous one yet
        helped = gain is not None and gain > 0
        outcomes.append(
            TurnOutcome(decision_id=window.decision.id, turn_id=turn.id, state=turn.state, helped=helped, gain=gain)
        )
    return tuple(outcomes)


def _loss(decision: TriageDecision) -> LossEvidence | None:
    return decision.loss or decision.estimated_loss
