"""Find the state of a model at a moment, from frozen facts. Pure."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median_low

from everfit.blocks.policy import duration_in_words
from everfit.tasks.ledger.model_names import RETIREMENT
from everfit.tasks.ledger.records import AWAITING_APPROVAL, FAILED, ON_TRIAL, RUNNING, Turn
from everfit.tasks.monitoring.triage_history import past_turn, started_turns
from everfit.tasks.pages.asks import Ask, asks_of
from everfit.tasks.pages.facts import ModelFacts, Reign
from everfit.tasks.pages.looks import LookSummary
from everfit.tasks.pages.model_status import Limits, ModelStatus, Quality, moment
from everfit.tasks.pages.risk import Risk, recorded_level, risk_of
from everfit.tasks.pages.states import ORDER, ModelState
from everfit.tasks.triage.admission import cooldown_end, spent_turns
from everfit.tasks.turns.turn_record import HEADLINES

SERVICE_CHECK = "run service-check"
"""The subject of the incident of a champion that isn't served."""
_FEWEST, _RECENT = 4, 20
"""The looks that tell how far looks are apart: at least, and at most the newest."""
_LATE, _LEAST = 3, timedelta(minutes=10)
"""The next look is late after this many times the usual gap between looks, which counts as at least the second."""
_ASSUMED = timedelta(days=10)
"""The time between two looks where there are too few to say it."""
_ACTIVE = (RUNNING, AWAITING_APPROVAL, ON_TRIAL)


def status_of(facts: ModelFacts) -> ModelStatus:
    """Return the state of a model at the moment of the facts.

    Args:
        facts: The rows of the ledger.
    """
    reign = facts.reigns[-1] if facts.reigns else None
    looks = [] if reign is None else [look for look in facts.looks if _is_about(look, reign)]
    last = looks[-1] if looks else None
    turns = started_turns(facts.turns)
    turn = turns[-1] if turns else None
    asks = asks_of(facts, last)
    state, reason = _state(facts, reign, last, asks)
    quality = next((found for look in reversed(looks) if (found := quality_of(look)) is not None), None)
    return ModelStatus(
        model=facts.model,
        until=facts.until,
        state=state,
        reason=reason,
        next=_next(facts, state, turn, last),
        champion=None if reign is None else reign.version,
        champion_since=None if reign is None else reign.since,
        champion_by="" if reign is None else reign.release.actor,
        quality=quality,
        quality_unknown="" if last is None or last.value is not None else last.unmeasured,
        last_look=facts.looks[-1] if facts.looks else None,
        last_turn=turn,
        turn_summary="" if turn is None else turn_in_words(turn),
        limits=_limits(facts),
        risk=None if reign is None else _risk(facts, reign),
        asks=asks,
    )


def quality_of(look: LookSummary) -> Quality | None:
    """Return the live quality of a look; None if it was not measured."""
    if look.value is None:
        return None
    low, high = look.interval or (None, None)
    return Quality(
        metric=look.metric,
        value=look.value,
        low=low,
        high=high,
        rows=look.rows,
        expected=look.expected,
        bound=look.bound,
        until=look.until,
        sentence=look.sentence,
    )


def turn_in_words(turn: Turn) -> str:
    """Return how a turn ended and why."""
    if turn.state == RUNNING:
        return f"runs since {moment(turn.started_at)}: {turn.trigger.reason or turn.trigger.kind}"
    if turn.state == FAILED:
        return f"failed: {turn.error or 'the reason is unknown'}"
    headline = HEADLINES.get(turn.state, turn.state)
    return f"{headline}: {turn.reasons[0]}" if turn.reasons else headline


def late_from(looks: Sequence[LookSummary]) -> datetime | None:
    """Return the moment from which the next look is late; None before the first look.

    Few looks don't say how far they are apart, so ten days are assumed. More of them do, by the time of the windows or
    by the clock, whichever is longer: history that is lived through again has months between its windows and seconds
    between its looks.

    Args:
        looks: The newest looks, oldest first.
    """
    if not looks:
        return None
    if len(looks) < _FEWEST:
        return max(looks[-1].until, looks[-1].at) + _LATE * _ASSUMED
    pairs = list(pairwise(looks[-_RECENT:]))
    windows = median_low(later.until - earlier.until for earlier, later in pairs)
    clock = median_low(abs(later.at - earlier.at) for earlier, later in pairs)
    return max(looks[-1].until, looks[-1].at) + _LATE * max(windows, clock, _LEAST)


def late_words(last: datetime) -> str:
    """Return that no look has come for long.

    Args:
        last: The end of the newest window.
    """
    return f"the last look is of {moment(last)}, and the next ones have not come"


def _is_about(look: LookSummary, reign: Reign) -> bool:
    """Return whether a look is about a champion's present reign, and not about an earlier one of the same version."""
    return look.champion in {None, reign.version} and look.until >= reign.since


def _state(
    facts: ModelFacts, reign: Reign | None, last: LookSummary | None, asks: tuple[Ask, ...]
) -> tuple[ModelState, str]:
    if facts.changes and facts.changes[-1].kind == RETIREMENT:
        retired = facts.changes[-1]
        if not any(turn.started_at > retired.at for turn in facts.turns):
            return "retired", next(iter(retired.reasons), "")
    approval = next((ask for ask in asks if ask.what.startswith("approve")), None)
    if reign is None:
        return (
            ("no_champion", _why_none(facts))
            if approval is None
            else ("waiting", f"{approval.what}: {approval.reason}")
        )
    found: list[tuple[ModelState, str]] = []
    if problem := _not_served(facts, reign):
        found.append(("not_served", problem))
    if last is not None:
        found.append(_by_look(last))
        if facts.until > (late_from(facts.looks) or facts.until):
            found.append(("late", late_words(facts.looks[-1].until)))
    if ask := approval or next((ask for ask in asks if ask.incident), None):
        found.append(("waiting", ": ".join(filter(None, (ask.what, ask.reason)))))
    if not found:
        return "not_looked_at", f"version {reign.version} was released at {moment(reign.since)}"
    return min(found, key=lambda one: ORDER[one[0]])


def _why_none(facts: ModelFacts) -> str:
    """Return why there is no champion: how the newest turn ended; empty without one, or while it runs."""
    turns = started_turns(facts.turns)
    return "" if not turns or turns[-1].state in _ACTIVE else turn_in_words(turns[-1])


def _by_look(last: LookSummary) -> tuple[ModelState, str]:
    if last.lost or last.verdict == "roll_back":
        return "losing", last.sentence if last.lost and last.sentence else last.headline
    if last.verdict == "quarantine":
        return "data_broken", last.headline
    if last.failures:
        return "not_measured", last.failures[0]
    if last.verdict == "escalate":
        return "waiting", last.headline
    return ("fit" if last.verdict == "healthy" else "watched"), last.headline


def _not_served(facts: ModelFacts, reign: Reign) -> str:
    """Return why the champion is not served; empty if nothing speaks against it."""
    for incident in facts.incidents:
        if incident.subject == SERVICE_CHECK and incident.state == "open":
            return next(iter(map(str, incident.alert.get("why") or ())), "the check of the services failed")
    if reign.release.state != "verified":
        note = f": {reign.release.note}" if reign.release.note else ""
        return f"no service has confirmed version {reign.version} yet{note}"
    return ""


def _limits(facts: ModelFacts) -> Limits | None:
    if facts.policy is None:
        return None
    past = sorted((past_turn(turn, None) for turn in started_turns(facts.turns)), key=lambda turn: turn.until)
    end = cooldown_end(past, facts.policy)
    budget = facts.policy.budget
    return Limits(
        cooldown_until=end if end is not None and end > facts.until else None,
        spent=len(spent_turns(past, facts.until, facts.policy)),
        budget=budget.turns,
        per=duration_in_words(budget.per),
    )


def _risk(facts: ModelFacts, reign: Reign) -> Risk:
    level = recorded_level(facts.released_by)
    return risk_of(reign, facts.until, level=level, looks=facts.looks, incidents=facts.incidents)


def _next(facts: ModelFacts, state: ModelState, turn: Turn | None, last: LookSummary | None) -> str:
    """Return the next step where something is missing; empty where nothing is."""
    model = facts.model
    if state == "no_champion":
        if turn is None:
            return f"`everfit train {model}` trains the first champion."
        if turn.state in _ACTIVE:
            return f"The turn {turn.id} has not ended; the first champion comes with it."
        return f"Correct what the last turn names, then run `everfit train {model} --reason WHY`."
    if state == "not_looked_at":
        return (
            f"`everfit score {model}` or a prediction service gives it something to do, and the next `everfit monitor "
            f"{model}` looks at it."
        )
    if last is not None and last.value is None and state in {"fit", "watched", "not_measured"}:
        return "Live quality is shown as soon as enough labels are mature."
    return ""
