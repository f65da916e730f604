"""A challenger that is tried on live traffic is judged."""

from datetime import datetime
from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed

from everfit.tasks.core.event_names import RELEASE_PROMOTED, TURN_FINISHED
from everfit.tasks.core.events import emit
from everfit.tasks.registry.mlflow_links import model_link
from everfit.tasks.release.traffic import trials
from everfit.tasks.release.traffic.trial_page import trial_page
from everfit.tasks.release.traffic.trials import TrialResult
from everfit.tasks.steps.artifacts import leave_page
from everfit.tasks.steps.step import step
from everfit.tasks.turns import turn_record
from everfit.tasks.turns.context import Context

NO_TRIAL, ON_TRIAL = "NoTrial", turn_record.ON_TRIAL
"""Names of the flow's final states, beside those of the turn that a trial ends."""


@step("decision", log="trial")
def advance_trial(context: Context, until: datetime) -> TrialResult | None:
    """Decide whether the trial continues, releases the challenger or ends without a release, and do that.

    Args:
        context: The model's.
        until: Answers and labels that became known later are ignored.

    Returns:
        The trial as it is now; None if there is none.
    """
    result = trials.look_at(context, until)
    if result is not None:
        announce_trial(context, result)
        content = trials.trial_json(result)
        ended = content["verdict"] or content["state"]
        page = trial_page(content) + model_link(context.settings, context.spec.name)
        leave_page(f"{context.spec.name}-trial", page, f"{ended}: {content['reasons'][0]}")
    return result


def announce_trial(context: Context, result: TrialResult) -> None:
    """Emit the events of a trial that has ended."""
    turn = context.ledger.turns.get(result.state.plan.id)
    release = context.ledger.releases.of_turn(turn.id)
    if result.state.end is None:
        return
    if result.turn_state == turn_record.PROMOTED and release is not None:
        emit(RELEASE_PROMOTED, turn.model, release=release)
    if turn.settled:
        emit(TURN_FINISHED, turn.model, turn_id=turn.id, state=turn.state, reasons=list(turn.reasons))


def final_state(context: Context, result: TrialResult | None) -> State[dict[str, Any]]:
    """Return the flow's final state: `NoTrial`, `OnTrial`, or how the trial's turn ended."""
    if result is None:
        data = {"model": context.spec.name, "state": NO_TRIAL}
        return Completed(name=NO_TRIAL, message=f"no version of {context.spec.name} is on trial", data=data)
    content = trials.trial_json(result)
    return Completed(name=result.turn_state, message="; ".join(content["reasons"])[:500], data=content)
