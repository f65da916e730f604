"""Storm protection: whether a turn that triage calls for may start.

Pure and in event time. Whoever calls it does so inside the ledger's own lock, with all turns of the model, so that of
many monitors that ask at once one is admitted and the others see its turn as running.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field

from everfit.blocks.policy import format_duration
from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.core.records import Record, TriggerKind
from everfit.tasks.triage import TriageDecision
from everfit.tasks.triage.failure_backoff import failures
from everfit.tasks.triage.history import PastTurn

Refusal = Literal["outdated_window", "in_flight", "duplicate", "broken_off", "cooldown", "budget"]


class TurnRequest(Record):
    """A turn that somebody wants to start."""

    model: str
    kind: TriggerKind
    reference: str
    signature: str
    until: AwareDatetime
    attempts: int = Field(default=0, description="How often this very turn has been begun, and broken off.")

    @classmethod
    def of(cls, decision: TriageDecision) -> "TurnRequest":
        """The turn that a triage decision calls for."""
        return cls(
            model=decision.model,
            kind=decision.kind or "manual",
            reference=decision.reference,
            signature=decision.signature,
            until=decision.window.until,
        )


class Admission(Record):
    """Whether a turn may start, and what refused it."""

    admitted: bool
    refused_by: Refusal | None = None
    reason: str


class _Case(Record):
    request: TurnRequest
    turns: tuple[PastTurn, ...]
    now_until: AwareDatetime
    policy: RetrainingPolicy

    @property
    def asked_for(self) -> bool:
        """A person who asks for a turn isn't held up by limits on what starts by itself."""
        return self.request.kind == "manual"


_Refused = tuple[Refusal, str]


def _counts(turn: PastTurn) -> bool:
    """Whether a turn keeps others away: not one that failed, nor an own flow's that nothing but a person started."""
    return turn.outcome != "failed" and not (turn.outcome == "other" and turn.kind == "manual")


def admit(
    request: TurnRequest, past_turns: Sequence[PastTurn], now_until: datetime, policy: RetrainingPolicy
) -> Admission:
    """Decide whether a turn may start.

    Args:
        request: The turn that is wanted.
        past_turns: All turns of the model, running ones included, in any order.
        now_until: End of the newest window of the model that is known; after an outage many windows are caught up on,
            and only the newest may train.
        policy: Cooldown and budget.

    Returns:
        Admitted, or the first of `LIMITS` that refuses.
    """
    turns = tuple(sorted(past_turns, key=lambda turn: (turn.until, turn.turn_id)))
    case = _Case(request=request, turns=turns, now_until=now_until, policy=policy)
    for limit in LIMITS:
        if refused := limit(case):
            by, reason = refused
            return Admission(admitted=False, refused_by=by, reason=reason)
    return Admission(admitted=True, reason="nothing stands against it")


def _in_flight(case: _Case) -> _Refused | None:
    """One turn at a time."""
    running = next((turn for turn in case.turns if turn.in_flight), None)
    if running is None:
        return None
    return "in_flight", f"turn {running.turn_id} is {running.outcome.replace('_', ' ')}"


def _duplicate(case: _Case) -> _Refused | None:
    """The same trouble in the same window of the same reference gives one turn; one that failed may be run again."""
    wanted = case.request
    for turn in case.turns:
        same = (turn.reference, turn.signature, turn.until) == (wanted.reference, wanted.signature, wanted.until)
        if same and _counts(turn):
            return "duplicate", f"turn {turn.turn_id} was run for the same reason and window"
    return None


def _outdated_window(case: _Case) -> _Refused | None:
    """Only the newest window trains: what an older one asks for is answered by it, or has been."""
    until, newest = case.request.until, case.now_until
    if until < newest:
        return "outdated_window", f"the window ends {until.isoformat()}; the newest {newest.isoformat()}"
    later = [turn for turn in case.turns if turn.until >= until and turn.outcome not in {"failed", "other"}]
    if later and not case.asked_for:
        return "outdated_window", f"turn {later[-1].turn_id} has learned from this window already"
    return None


def _broken_off(case: _Case) -> _Refused | None:
    """What breaks off again and again is tried ever more rarely, but for the same moment at once, so many times."""
    wanted, most = case.request, case.policy.max_failures
    if case.asked_for:
        return None
    if wanted.attempts >= most:
        return "broken_off", f"this turn was begun {wanted.attempts} times, and broke off each time"
    row = failures(case.turns, case.policy)
    if row is None or wanted.until >= row.again or (wanted.until == row.turns[-1].until and not row.too_many):
        return None
    return "broken_off", row.words


def _cooldown(case: _Case) -> _Refused | None:
    """Turns that start by themselves keep a distance from the last turn."""
    last = next((turn for turn in reversed(case.turns) if _counts(turn)), None)
    if case.asked_for or last is None:
        return None
    free = last.until + case.policy.cooldown
    if case.request.until >= free:
        return None
    return "cooldown", f"turn {last.turn_id} was at {last.until.isoformat()}; the next may be {free.isoformat()}"


def _budget(case: _Case) -> _Refused | None:
    """So many turns that start by themselves within a span, and no more."""
    budget = case.policy.budget
    spent = [
        turn.until for turn in case.turns if turn.kind != "manual" and turn.until > case.request.until - budget.per
    ]
    if case.asked_for or len(spent) < budget.turns:
        return None
    free = f"; the next may be {(spent[-budget.turns] + budget.per).isoformat()}" if budget.turns else ""
    return "budget", f"{len(spent)} turns within {format_duration(budget.per)}; {budget.turns} are allowed{free}"


LIMITS: tuple[Callable[[_Case], _Refused | None], ...] = (
    _in_flight,
    _duplicate,
    _outdated_window,
    _broken_off,
    _cooldown,
    _budget,
)
"""In order of precedence."""
