"""Ask for a turn: the ledger says whether there is to be one, and training is started once."""

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.tasks.core.records import TriggerKind
from everfit.tasks.steps import requests
from everfit.tasks.steps.context import moment, open_context
from everfit.tasks.steps.run_names import run_name


@flow(name="retraining", flow_run_name=run_name("ask-for"))
def retraining(
    model: str,
    kind: TriggerKind = "quality",
    reason: str = "",
    decision_id: str = "",
    until: datetime | None = None,
) -> State[dict[str, Any]]:
    """Ask the ledger for a turn, as monitoring does when triage wants one; a repeated request gets no second turn.

    Args:
        model: A spec file, the name of a spec in `deployments/models`, or of a stored Model Spec block.
        kind: The kind of the request.
        reason: In words, for whoever reads the history.
        decision_id: The triage behind it; its own words, window and verdict count then.
        until: Only data known at this moment counts; by default when the run was due.

    Returns:
        A state named `TurnCalled`, `TurnCalledAlready`, or `TurnHeldBack` if cooldown, budget or triage refused it.
    """
    context = open_context(model)
    answer = requests.request_turn(context, moment(until), kind, reason, decision_id)
    requests.start_turn(context, answer)
    return requests.final_state(context, answer)
