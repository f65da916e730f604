"""Storm protection: whether a turn that triage calls may start.

Pure and in event time. The caller holds the ledger's lock and passes all turns of the model, so that of many monitors
that ask at the same time one is admitted and the others see its turn as running.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field

from everfit.blocks.policy import format_duration
from everfit.blocks.retraining import RetrainingPolicy
from everfit.tasks.core.records import Record, TriggerKind
from everfit.tasks.triage import TriageDecision
from everfit.tasks.triage.failure_backoff import failure_streak
from everfit.tasks.triage.history import PastTurn

Refusal = Literal["outdated_window", "in_flight", "duplicate", "failures", "cooldown", "budget"]


class TurnRequest(Record):
    """A requested turn."""

    model: str
    kind: TriggerKind
    reference: str
    signature: str
    until: AwareDatetime
    attempts: int = Field(default=0, description="How often this turn was started and failed.")

    @classmethod
    def of(cls, decision: TriageDecision) -> "TurnRequest":
        """Return the turn that a triage decision calls."""
        return cls(
            model=decision.model,
            kind=decision.kind or "manual",
            reference=decision.reference,
            signature=decision.signature,
            until=decision.window.until,
        )


class Admission(Record):
    """Whether a turn may start, and the limit that refused it."""

    admitted: bool
    refused_by: Refusal | None = None
    reason: str


class _Case(Record):
    request: TurnRequest
    turns: tuple[PastTurn, ...]
    now_until: AwareDatetime
    policy: RetrainingPolicy

    @property
    def by_person(self) -> bool:
        """Whether a person requests the turn; limits on automatic turns do not apply then."""
        return self.request.kind == "manual"

    @property
    def is_free(self) -> bool:
        """Whether cooldown and budget do not apply: a person requests the turn, or nothing is trained in it."""
        return self.by_person or self.request.kind == "waiting"


_Refused = tuple[Refusal, str]


def admit(
    request: TurnRequest, past_turns: Sequence[PastTurn], now_until: datetime, policy: RetrainingPolicy
) -> Admission:
    """Decide whether a turn may start.

    Args:
        request: The requested turn.
        past_turns: All turns of the model, running ones included, in any order.
        now_until: End of the model's newest known window. After an outage many windows run late, and only the newest
            may train.
        policy: Cooldown and budget.

    Returns:
        Admitted, or refused by the first of `LIMITS` that applies.
    """
    turns = tuple(sorted(past_turns, key=lambda turn: (turn.until, turn.turn_id)))
    case = _Case(request=request, turns=turns, now_until=now_until, policy=policy)
    for limit in LIMITS:
        if refused := limit(case):
            by, reason = refused
            return Admission(admitted=False, refused_by=by, reason=reason)
    return Admission(admitted=True, reason="no limit applies")


def _counts(turn: PastTurn) -> bool:
    """Return whether a turn keeps others away.

    It does not if it failed, if a person ran it in a flow of their own, or if it judged a waiting challenger in vain.
    """
    return turn.outcome != "failed" and not (turn.outcome == "other" and turn.kind in {"manual", "waiting"})


def _in_flight(case: _Case) -> _Refused | None:
    """Only one turn runs at a time."""
    running = next((turn for turn in case.turns if turn.in_flight), None)
    if running is None:
        return None
    return "in_flight", f"turn {running.turn_id} is {running.outcome.replace('_', ' ')}"


def _duplicate(case: _Case) -> _Refused | None:
    """The same problem in the same window of the same reference gives one turn; a failed turn may run again."""
    wanted = case.request
    for turn in case.turns:
        same = (turn.reference, turn.signature, turn.until) == (wanted.reference, wanted.signature, wanted.until)
        if same and _counts(turn):
            return "duplicate", f"turn {turn.turn_id} ran for the same reason and window"
    return None


def _outdated_window(case: _Case) -> _Refused | None:
    """Only the newest window trains; it covers what an older one asks for."""
    until, newest = case.request.until, case.now_until
    if until < newest:
        return (
            "outdated_window",
            f"the window ends at {until.isoformat()}, and the newest window at {newest.isoformat()}",
        )
    later = [turn for turn in case.turns if turn.until >= until and turn.outcome not in {"failed", "other"}]
    if later and not case.by_person:
        return "outdated_window", f"turn {later[-1].turn_id} has already learned from this window"
    return None


def _failures(case: _Case) -> _Refused | None:
    """After failures the wait grows; only a turn for the same moment may repeat at once, up to `max_failures` times."""
    wanted, most = case.request, case.policy.max_failures
    if case.by_person:
        return None
    if wanted.attempts >= most:
        return "failures", f"this turn was started {wanted.attempts} times and failed each time"
    streak = failure_streak(case.turns, case.policy)
    if streak is None or wanted.until >= streak.again:
        return None
    if wanted.until == streak.turns[-1].until and not streak.too_many:
        return None
    return "failures", streak.summary


def _cooldown(case: _Case) -> _Refused | None:
    """Automatic turns keep a distance from the last turn."""
    last = next((turn for turn in reversed(case.turns) if _counts(turn)), None)
    free = cooldown_end(case.turns, case.policy)
    if case.is_free or last is None or free is None or case.request.until >= free:
        return None
    return "cooldown", f"turn {last.turn_id} was at {last.until.isoformat()}; the next may start at {free.isoformat()}"


def _budget(case: _Case) -> _Refused | None:
    """Only a number of automatic turns may start within a span."""
    budget = case.policy.budget
    spent = spent_turns(case.turns, case.request.until, case.policy)
    if case.is_free or len(spent) < budget.turns:
        return None
    free = f"; the next may start at {(spent[-budget.turns] + budget.per).isoformat()}" if budget.turns else ""
    return "budget", f"{len(spent)} turns within {format_duration(budget.per)}, and {budget.turns} are allowed{free}"


def cooldown_end(turns: Sequence[PastTurn], policy: RetrainingPolicy) -> datetime | None:
    """Return when the cooldown after the last turn is over; None if no turn counts for it.

    Args:
        turns: All turns of the model, oldest first.
        policy: The cooldown.
    """
    last = next((turn for turn in reversed(turns) if _counts(turn)), None)
    return None if last is None else last.until + policy.cooldown


def spent_turns(turns: Sequence[PastTurn], until: datetime, policy: RetrainingPolicy) -> list[datetime]:
    """Return the moments of the turns that the budget counts at a moment.

    Args:
        turns: All turns of the model, oldest first.
        until: The moment.
        policy: The budget.
    """
    return [
        turn.until
        for turn in turns
        if turn.kind not in {"manual", "waiting"} and until - policy.budget.per < turn.until
    ]


LIMITS: tuple[Callable[[_Case], _Refused | None], ...] = (
    _in_flight,
    _duplicate,
    _outdated_window,
    _failures,
    _cooldown,
    _budget,
)
"""In order of precedence."""
