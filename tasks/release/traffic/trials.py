"""Run traffic trials: begin one after the gate's promotion, look at it, and end it.

Each look is a decision in the ledger, identified by its moment. Its effects are the share that services read, and the
end of the trial (`trial_ending`). If a crash leaves them undone, the next caller completes them. Looks follow one
another under the model's release lease.
"""

import logging
from datetime import datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import EverfitError
from everfit.tasks.core.records import Record
from everfit.tasks.evaluation.answer_divergence import MOST_COLUMNS
from everfit.tasks.evaluation.slices import slice_columns
from everfit.tasks.ledger import Release, Turn
from everfit.tasks.registry import model_registry
from everfit.tasks.release.approval import check_signature, why_superseded
from everfit.tasks.release.release_protocol import LEASE_WAIT
from everfit.tasks.release.traffic.traffic_split import TrafficSplit, read_split, write_split
from everfit.tasks.release.traffic.trial import (
    TRIAL,
    TrialLook,
    TrialPlan,
    TrialState,
    judge_trial,
    stopped_look,
    superseded_look,
)
from everfit.tasks.release.traffic.trial_ending import finish_trial
from everfit.tasks.release.traffic.trial_evidence import read_evidence
from everfit.tasks.release.traffic.trial_journal import (
    last_trial,
    on_trial,
    read_trial,
    record_look,
    trials_under_way,
    unsettled_trials,
)
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.context import Context

if TYPE_CHECKING:
    from everfit.blocks.spec import ModelSpec

logger = logging.getLogger("everfit.trial")


class TrialError(EverfitError):
    """No version is on trial; nothing was changed."""


class TrialResult(Record):
    """A trial after a look, and the state of its turn."""

    state: TrialState
    look: TrialLook | None = None
    turn_state: str


def needs_trial(spec: "ModelSpec", champion: Release | None) -> bool:
    """Return whether a challenger is tried on live traffic before its release; never before the first champion."""
    return spec.release.strategy != "replace" and champion is not None


def begin(
    context: Context, turn: Turn, version: int, champion: Release, *, waited: timedelta = timedelta(0)
) -> TrialState:
    """Begin a challenger's trial on live traffic; safe to repeat.

    Args:
        context: The model.
        turn: The turn that trained the challenger.
        version: The challenger.
        champion: The release of the champion that it is compared with.
        waited: How long after the turn it begins, if a person had to approve it first.

    Returns:
        The trial. If an interrupted turn is run again, this is the trial that it began, which may have ended.
    """
    spec = context.spec
    policies = {"ab": spec.release.ab, "shadow": spec.release.shadow}
    policy = policies.get(spec.release.strategy, spec.release.canary)
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
        begun = read_trial(context, turn.id)
        if begun is not None and begun.end is not None:
            return begun
        for other in trials_under_way(context, but=turn.id):
            reason = f"version {version} is tried in its place"
            record_look(context, other.plan, None, superseded_look(reason), f"{other.plan.id}/{TRIAL}/end")
            write_split(context.mlflow, spec.name, other.plan.challenger, None)
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
        state = read_trial(context, turn.id)
        assert state is not None  # noqa: S101 - it began just before
        _set_share(context, state)
    return state


def in_shadow(context: Context) -> bool:
    """Return whether a challenger is tried in the shadow, so that it predicts all rows that the champion does."""
    challenger = model_registry.challenger(context.mlflow, context.spec.name)
    arms = None if challenger is None else read_split(context.mlflow, challenger)
    return arms is not None and arms.shadow


def headline(plan: TrialPlan) -> str:
    """Return the reason of a turn that ended as `OnTrial`."""
    if plan.is_shadow:
        return (
            f"Version {plan.challenger} predicts in the shadow of version {plan.champion}; nobody sees its predictions"
        )
    share, kind = plan.policy.shares[0], plan.policy.kind
    return (
        f"Version {plan.challenger} is tried on {100 * share:g} % of the keys ({kind}) against version {plan.champion}"
    )


def look_at(context: Context, until: datetime) -> TrialResult | None:
    """Look at a model's trial and carry out the result; repeating a moment changes nothing.

    Args:
        context: The model.
        until: Predictions and labels after this moment are ignored.

    Returns:
        The trial after the look, or None if no version is on trial.

    Raises:
        BusyError: A release of the model is under way.
    """
    ledger, name = context.ledger, context.spec.name
    repair_trials(context)
    if on_trial(context) is None:
        return None
    with ledger.leases.hold(name, scope="release", wait=context.spec.release.verify_timeout + LEASE_WAIT):
        state = on_trial(context)
        if state is None:  # another look was faster
            return None
        look = None
        if until > state.looked_at:
            look = _look(context, state, until)
            state = read_trial(context, state.plan.id) or state
            _set_share(context, state)
    return TrialResult(state=state, look=look, turn_state=finish_trial(context, state)[1])


def stop(context: Context, by: str, reason: str) -> TrialResult:
    """Return the challenger that is on trial.

    A trial that the same person has stopped for the same reason stays as it is.

    Args:
        context: The model.
        by: Name of the person who decides.
        reason: Why.

    Raises:
        ApprovalError: The name or the reason is empty.
        TrialError: No version is on trial.
    """
    by, reason = check_signature(by, reason)
    with context.ledger.leases.hold(context.spec.name, scope="release", wait=LEASE_WAIT):
        stopped, state = stopped_look(by, reason), on_trial(context) or last_trial(context)
        if state is None or (state.end is not None and state.end != stopped):
            raise TrialError(f"no version of {context.spec.name!r} is on trial; `everfit history` shows earlier trials")
        if state.end is not None:  # the same answer was interrupted, and is complete since
            return TrialResult(state=state, look=state.end, turn_state=finish_trial(context, state)[1])
        look = record_look(context, state.plan, None, stopped, f"{state.plan.id}/{TRIAL}/end")
        state = read_trial(context, state.plan.id) or state
    return TrialResult(state=state, look=look, turn_state=finish_trial(context, state)[1])


def repair_trials(context: Context) -> list[str]:
    """Complete what an interrupted check of a trial began, and end a trial whose champion was replaced.

    Returns:
        A sentence for each change.
    """
    done = []
    for turn, trial in unsettled_trials(context):
        state = _unless_superseded(context, trial)
        if state.end is None:
            if _set_share(context, state):
                done.append(f"set the traffic share of version {state.plan.challenger} in the registry again")
            continue
        ended, _ = finish_trial(context, state)
        if turn.state == turn_record.ON_TRIAL:
            done.append(f"turn {turn.id} ended as {ended.state}: {ended.reasons[0]}")
        else:
            done.append(f"version {state.plan.challenger} was still on trial: {state.end.reasons[0]}")
    return done


def _unless_superseded(context: Context, state: TrialState) -> TrialState:
    """Return a trial, ended if its champion was replaced."""
    champion = context.ledger.releases.current(context.spec.name)
    reason = why_superseded(state.plan.champion, None if champion is None else champion.version)
    if state.end is not None or not reason:
        return state
    record_look(context, state.plan, None, superseded_look(reason), f"{state.plan.id}/{TRIAL}/end")
    return read_trial(context, state.plan.id) or state


def trial_json(result: TrialResult) -> dict[str, Any]:
    """Return a trial as `everfit trial --json` prints it."""
    state, look = result.state, result.look or result.state.end
    plan = state.plan
    return {
        "model": plan.model,
        "turn_id": plan.id,
        "state": result.turn_state,
        "strategy": plan.policy.kind,
        "challenger": plan.challenger,
        "champion": plan.champion,
        "since": plan.since.isoformat(),
        "looked_at": state.looked_at.isoformat(),
        "step": len(state.steps) + 1,
        "steps": len(plan.policy.shares),
        "share": state.share,
        "verdict": look.verdict if look else None,
        "reasons": list(look.reasons) if look else [headline(plan)],
        "evidence": look.evidence.model_dump(mode="json") if look and look.evidence else None,
    }


def _look(context: Context, state: TrialState, until: datetime) -> TrialLook:
    spec, plan = context.spec, state.plan
    champion = context.ledger.releases.current(spec.name)
    evidence = read_evidence(
        context.workspace.table(spec.name, "predictions"),
        context.workspace.table(spec.name, "labels"),
        state,
        until,
        event_time=spec.columns.event_time or "event_time",
        task=spec.task,
        classes=cache(partial(_classes, context)),
        maturity=spec.maturity,
        champion=None if champion is None else champion.version,
        clients=spec.monitoring.clients,
        slices=_slices(context),
    )
    result = judge_trial(state, evidence)
    logger.info("trial     %s", result.reasons[0])
    return record_look(context, plan, until, result, f"{plan.id}/{TRIAL}/{until:%Y%m%dT%H%M%S.%f}")


def _slices(context: Context) -> tuple[str, ...]:
    """Return the columns by whose values a shadow is compared: the spec's slices, otherwise the features."""
    spec = context.spec
    if named := slice_columns(spec):
        return named
    if spec.columns.features is not None:
        return tuple(name for name in spec.columns.features if name not in spec.columns.text)[:MOST_COLUMNS]
    log, others = context.workspace.table(spec.name, "predictions"), {*spec.columns.roles(), *spec.columns.text}
    there = log.columns() if log.exists() else ()
    return tuple(name for name in there if not name.startswith("_") and name not in others)[:MOST_COLUMNS]


def _set_share(context: Context, state: TrialState) -> bool:
    """Write the share of a running trial into the registry.

    Returns:
        Whether anything was changed.
    """
    if state.end is not None:
        return False
    plan = state.plan
    arms = TrafficSplit(trial=plan.id, champion=plan.champion, share=state.share, shadow=plan.is_shadow)
    return write_split(context.mlflow, plan.model, plan.challenger, arms)


def _classes(context: Context, version: int) -> list[str]:
    from everfit.tasks.scoring.loading import load_scorer

    target = model_registry.model_version(context.mlflow, context.spec.name, version)
    return [str(label) for label in load_scorer(context.mlflow, context.ledger, target).classes]
