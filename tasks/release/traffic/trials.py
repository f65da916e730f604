"""Carrying out trials: begun when the gate has promoted, looked at, and ended by a release or by taking back.

Each look is a decision in the ledger, found again by its moment; what follows from it (the share that services read,
and how the trial ends, in `trial_ending`) is done by whoever comes next if a crash left it undone. Looks are made one
after the other, under the model's release lease.
"""

import logging
from datetime import datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import EverfitError
from everfit.tasks.core.records import Record
from everfit.tasks.ledger import Decision, Release, Turn
from everfit.tasks.registry import model_registry
from everfit.tasks.release.approval import check_signature, why_superseded
from everfit.tasks.release.release_protocol import LEASE_WAIT
from everfit.tasks.release.traffic.traffic_split import Arms, write_arms
from everfit.tasks.release.traffic.trial import (
    TRIAL,
    TrialLook,
    TrialPlan,
    TrialState,
    look,
    replay,
    stopped,
    superseded_look,
)
from everfit.tasks.release.traffic.trial_ending import finish
from everfit.tasks.release.traffic.trial_evidence import gather
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.context import Context

if TYPE_CHECKING:
    from collections.abc import Sequence

    from everfit.blocks.spec import ModelSpec

logger = logging.getLogger("everfit.trial")


class TrialError(EverfitError):
    """There is no trial to look at or to stop; nothing was changed."""


class TrialResult(Record):
    """What a look at a model's trial came to."""

    state: TrialState
    look: TrialLook | None = None
    turn_state: str


def wanted(spec: "ModelSpec", champion: Release | None) -> bool:
    """Whether a challenger is tried before it is released; the first champion has nothing to be tried against."""
    return spec.release.strategy != "replace" and champion is not None


def begin(
    context: Context, turn: Turn, version: int, champion: Release, *, waited: timedelta = timedelta(0)
) -> TrialState:
    """Try a challenger on live traffic.

    Args:
        context: The model.
        turn: The turn whose challenger it is.
        version: The challenger.
        champion: The release that it is to follow.
        waited: How long after the turn it begins, where a person was asked first.

    Returns:
        The trial; of a turn that was broken off and is run again the one that it began, which may have ended since.
    """
    spec = context.spec
    policy = spec.release.ab if spec.release.strategy == "ab" else spec.release.canary
    plan = TrialPlan(
        id=turn.id,
        model=spec.name,
        challenger=version,
        champion=champion.version,
        policy=policy,
        metric=spec.metric,
        since=turn.window.until + waited,
    )
    with context.ledger.leases.hold(spec.name, scope="release", turn_id=turn.id, wait=LEASE_WAIT):
        begun = _replayed(context, turn.id)
        if begun is not None and begun.end is not None:
            return begun
        for other in _under_way(context, but=turn.id):
            why = f"version {version} is tried in its place"
            _record(context, other.plan, None, superseded_look(why), f"{other.plan.id}/{TRIAL}/end")
            write_arms(context.mlflow, spec.name, other.plan.challenger, None)
        context.ledger.decisions.record(
            f"{turn.id}/{TRIAL}",
            model=spec.name,
            kind=TRIAL,
            verdict="start",
            until=plan.since,
            reasons=(headline(plan),),
            record=plan,
            turn_id=turn.id,
        )
        state = _replayed(context, turn.id)
        assert state is not None  # noqa: S101 - it began just before
        _tell_services(context, state)
    return state


def headline(plan: TrialPlan) -> str:
    """Why a turn ended as one on trial, in words."""
    share, kind = plan.policy.shares[0], plan.policy.kind
    return (
        f"Version {plan.challenger} is tried on {100 * share:g} % of the keys ({kind}) against version {plan.champion}"
    )


def on_trial(context: Context) -> TrialState | None:
    """The trial that is under way, if one is."""
    under_way = _under_way(context)
    return under_way[-1] if under_way else None


def look_at(context: Context, until: datetime) -> TrialResult | None:
    """Look at a model's trial, and do what follows; the same moment again changes nothing.

    Args:
        context: The model.
        until: What is known at this moment is all that is known.

    Returns:
        What it came to; none without a trial.

    Raises:
        BusyError: a release of the model is under way.
    """
    ledger, name = context.ledger, context.spec.name
    settle(context)
    if on_trial(context) is None:
        return None
    with ledger.leases.hold(name, scope="release", wait=context.spec.release.verify_timeout + LEASE_WAIT):
        state = on_trial(context)
        if state is None:  # another look was faster
            return None
        found = None
        if until > state.looked_at:
            found = _looked(context, state, until)
            state = _replayed(context, state.plan.id) or state
            _tell_services(context, state)
    return TrialResult(state=state, look=found, turn_state=finish(context, state)[1])


def stop(context: Context, by: str, why: str) -> TrialResult:
    """Take a challenger back that is on trial.

    Args:
        context: The model.
        by: Who decides.
        why: In words.

    Raises:
        TrialError: there is none.
    """
    by, why = check_signature(by, why)
    with context.ledger.leases.hold(context.spec.name, scope="release", wait=LEASE_WAIT):
        state = on_trial(context)
        if state is None:
            raise TrialError(f"no version of {context.spec.name!r} is on trial; `everfit history` shows what was")
        found = _record(context, state.plan, None, stopped(by, why), f"{state.plan.id}/{TRIAL}/end")
        state = _replayed(context, state.plan.id) or state
    return TrialResult(state=state, look=found, turn_state=finish(context, state)[1])


def settle(context: Context) -> list[str]:
    """Do what a crash has left undone of trials, and end one whose champion is another by now.

    Returns:
        What was done, in words.
    """
    done = []
    for turn, found in _unsettled(context):
        state = _unless_superseded(context, found)
        if state.end is None:
            if _tell_services(context, state):
                done.append(f"told the services again that version {state.plan.challenger} is on trial")
            continue
        ended, _ = finish(context, state)
        if turn.state == turn_record.ON_TRIAL:
            done.append(f"turn {turn.id} ended as {ended.state}: {ended.reasons[0]}")
        else:
            done.append(f"version {state.plan.challenger} was still on trial: {state.end.reasons[0]}")
    return done


def _unless_superseded(context: Context, state: TrialState) -> TrialState:
    """A trial, ended if the champion is another by now than the one that it is tried against."""
    champion = context.ledger.releases.current(context.spec.name)
    why = why_superseded(state.plan.champion, None if champion is None else champion.version)
    if state.end is not None or not why:
        return state
    _record(context, state.plan, None, superseded_look(why), f"{state.plan.id}/{TRIAL}/end")
    return _replayed(context, state.plan.id) or state


def summary(found: TrialResult) -> dict[str, Any]:
    """A trial as `everfit trial --json` prints it."""
    state, look_made = found.state, found.look or found.state.end
    plan = state.plan
    return {
        "model": plan.model,
        "turn_id": plan.id,
        "state": found.turn_state,
        "strategy": plan.policy.kind,
        "challenger": plan.challenger,
        "champion": plan.champion,
        "since": plan.since.isoformat(),
        "looked_at": state.looked_at.isoformat(),
        "step": len(state.steps) + 1,
        "steps": len(plan.policy.shares),
        "share": state.share,
        "verdict": look_made.verdict if look_made else None,
        "reasons": list(look_made.reasons) if look_made else [headline(plan)],
        "evidence": look_made.evidence.model_dump(mode="json") if look_made and look_made.evidence else None,
    }


def _unsettled(context: Context) -> list[tuple[Turn, TrialState]]:
    """The trials of which something may be left to do, oldest first: whatever became of their turns.

    A turn may be broken off between its trial's beginning and its own end, and then its trial goes on all the same.
    """
    ledger, name = context.ledger, context.spec.name
    begun = [(str(entry.turn_id), entry.record) for entry in ledger.decisions.of(name, kind=TRIAL, verdict="start")]
    if not begun:
        return []
    known, challenger = (
        {turn.id: turn for turn in ledger.turns.of(name)},
        model_registry.challenger(context.mlflow, name),
    )
    found = []
    for turn_id, plan in begun:
        turn = known[turn_id]
        named = challenger is not None and challenger.version == plan["challenger"]
        if turn.state in {turn_record.PROMOTED, turn_record.RETURNED} and not named:
            continue
        state = _replayed(context, turn_id)
        if state is not None and (state.end is None or turn.state == turn_record.ON_TRIAL or named):
            found.append((turn, state))
    return found


def _under_way(context: Context, but: str = "") -> list[TrialState]:
    return [state for turn, state in _unsettled(context) if state.end is None and turn.id != but]


def _replayed(context: Context, turn_id: str) -> TrialState | None:
    """The trial of a turn, by its decisions in the ledger."""
    entries = context.ledger.decisions.of(context.spec.name, turn_id=turn_id, kind=TRIAL)
    plan = next((TrialPlan.recall(entry.record) for entry in entries if entry.verdict == "start"), None)
    if plan is None:
        return None
    looks = [entry for entry in entries if entry.verdict != "start"]
    newest = max([plan.since, *(entry.until for entry in looks if entry.until is not None)])
    # The end that a person or another release made has no place in event time: it comes after all looks.
    return replay(plan, [(entry.until or newest, TrialLook.recall(entry.record)) for entry in _in_order(looks)])


def _in_order(looks: "Sequence[Decision]") -> "Sequence[Decision]":
    return sorted(looks, key=lambda entry: (entry.until is None, entry.until or entry.at))


def _looked(context: Context, state: TrialState, until: datetime) -> TrialLook:
    spec, plan = context.spec, state.plan
    champion = context.ledger.releases.current(spec.name)
    evidence = gather(
        context.workspace.table(spec.name, "predictions"),
        context.workspace.table(spec.name, "labels"),
        state,
        until,
        event_time=spec.columns.event_time or "event_time",
        task=spec.task,
        classes=cache(partial(_classes, context)),
        maturity=spec.maturity,
        champion=None if champion is None else champion.version,
    )
    decided = look(state, evidence)
    logger.info("trial     %s", decided.reasons[0])
    return _record(context, plan, until, decided, f"{plan.id}/{TRIAL}/{until:%Y%m%dT%H%M%S.%f}")


def _record(context: Context, plan: TrialPlan, until: datetime | None, decided: TrialLook, name: str) -> TrialLook:
    """The look that stands under this name: this one, or what was recorded before."""
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


def _tell_services(context: Context, state: TrialState) -> bool:
    """Let the registry say what the ledger says of a trial that goes on.

    Returns:
        Whether anything had to be changed.
    """
    if state.end is not None:
        return False
    plan = state.plan
    arms = Arms(trial=plan.id, champion=plan.champion, share=state.share)
    return write_arms(context.mlflow, plan.model, plan.challenger, arms)


def _classes(context: Context, version: int) -> list[str]:
    from everfit.tasks.scoring.loading import load_scorer

    found = model_registry.model_version(context.mlflow, context.spec.name, version)
    return [str(one) for one in load_scorer(context.mlflow, found).classes]
