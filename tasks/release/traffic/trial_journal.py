"""Traffic trials in the ledger: which are under way, their state, and the record of each look."""

from collections.abc import Sequence
from datetime import datetime

from everfit.tasks.ledger import Decision, Turn
from everfit.tasks.registry import model_registry
from everfit.tasks.release.traffic.trial import TRIAL, TrialLook, TrialPlan, TrialState, replay
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.context import Context


def on_trial(context: Context) -> TrialState | None:
    """Return the trial that is under way, or None."""
    running = trials_under_way(context)
    return running[-1] if running else None


def last_trial(context: Context) -> TrialState | None:
    """Return the trial that began last, ended or not; None if none has begun."""
    begun = context.ledger.decisions.of(context.spec.name, kind=TRIAL, verdict="start", limit=1)
    return read_trial(context, str(begun[0].turn_id)) if begun else None


def trials_under_way(context: Context, but: str = "") -> list[TrialState]:
    """Return the trials that have not ended, except that of one turn."""
    return [state for turn, state in unsettled_trials(context) if state.end is None and turn.id != but]


def unsettled_trials(context: Context) -> list[tuple[Turn, TrialState]]:
    """Return the trials that may need work, oldest first, whatever state their turns are in.

    If a turn is interrupted after its trial has begun, the trial continues.
    """
    ledger, name = context.ledger, context.spec.name
    begun = [(str(entry.turn_id), entry.record) for entry in ledger.decisions.of(name, kind=TRIAL, verdict="start")]
    if not begun:
        return []
    known, challenger = (
        {turn.id: turn for turn in ledger.turns.of(name)},
        model_registry.challenger(context.mlflow, name),
    )
    trials = []
    for turn_id, plan in begun:
        turn = known[turn_id]
        named = challenger is not None and challenger.version == plan["challenger"]
        if turn.state in {turn_record.PROMOTED, turn_record.RETURNED} and not named:
            continue
        state = read_trial(context, turn_id)
        if state is not None and (state.end is None or turn.state == turn_record.ON_TRIAL or named):
            trials.append((turn, state))
    return trials


def read_trial(context: Context, turn_id: str) -> TrialState | None:
    """Return the trial of a turn, from its decisions in the ledger; None if it has none."""
    entries = context.ledger.decisions.of(context.spec.name, turn_id=turn_id, kind=TRIAL)
    plan = next((TrialPlan.recall(entry.record) for entry in entries if entry.verdict == "start"), None)
    if plan is None:
        return None
    looks = [entry for entry in entries if entry.verdict != "start"]
    newest = max([plan.since, *(entry.until for entry in looks if entry.until is not None)])
    # An end by a person or another release has no event time: it comes after all looks.
    return replay(plan, [(entry.until or newest, TrialLook.recall(entry.record)) for entry in _in_order(looks)])


def _in_order(looks: Sequence[Decision]) -> Sequence[Decision]:
    return sorted(looks, key=lambda entry: (entry.until is None, entry.until or entry.at))


def record_look(context: Context, plan: TrialPlan, until: datetime | None, decided: TrialLook, name: str) -> TrialLook:
    """Record a look under a name; return the binding one, which may have been recorded before."""
    entry = context.ledger.decisions.find(name) or context.ledger.decisions.record(
        name,
        model=plan.model,
        kind=TRIAL,
        verdict=decided.verdict,
        until=until,
        reasons=decided.reasons,
        record=decided,
        turn_id=plan.id,
    )
    return TrialLook.recall(entry.record)
