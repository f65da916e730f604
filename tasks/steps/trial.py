"""Looking at a challenger that is on trial, as Prefect tasks."""

import logging
from datetime import datetime
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from everfit.tasks.core.event_names import RELEASE_PROMOTED, TURN_FINISHED
from everfit.tasks.core.events import emit
from everfit.tasks.release.traffic import trials
from everfit.tasks.release.traffic.trials import TrialResult
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.context import Context

logger = logging.getLogger("everfit.trial")

NO_TRIAL, ON_TRIAL = "NoTrial", turn_record.ON_TRIAL
"""Names of the flow's final states, beside those of the turn that a trial ends."""


@task(cache_policy=NO_CACHE)
def look_at(context: Context, until: datetime) -> TrialResult | None:
    """Decide by what is known at a moment whether the challenger goes on, is released or taken back; and do that."""
    found = trials.look_at(context, until)
    if found is not None:
        tell(context, found)
    return found


def tell(context: Context, found: TrialResult) -> None:
    """Tell those who listen how a trial has ended."""
    turn = context.ledger.turns.get(found.state.plan.id)
    release = context.ledger.releases.of_turn(turn.id)
    if found.state.end is None:
        return
    if found.turn_state == turn_record.PROMOTED and release is not None:
        emit(RELEASE_PROMOTED, turn.model, release=release)
    if turn.settled:
        emit(TURN_FINISHED, turn.model, turn_id=turn.id, state=turn.state, reasons=list(turn.reasons))


def final_state(context: Context, found: TrialResult | None) -> State[dict[str, Any]]:
    """The flow's final state: `NoTrial`, `OnTrial`, or how the trial's turn ended."""
    if found is None:
        data = {"model": context.spec.name, "state": NO_TRIAL}
        return Completed(name=NO_TRIAL, message=f"no version of {context.spec.name} is on trial", data=data)
    told = trials.summary(found)
    return Completed(name=found.turn_state, message="; ".join(told["reasons"])[:500], data=told)
