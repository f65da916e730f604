"""Request a turn: the ledger grants or refuses it, and training is started once."""

from datetime import datetime
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.tasks.core.records import TriggerKind
from everfit.tasks.steps import requests
from everfit.tasks.steps.context import moment, open_context
from everfit.tasks.steps.run_incidents import on_completion, on_failure
from everfit.tasks.steps.run_names import run_name


@flow(name="retraining", flow_run_name=run_name("ask-for"), on_failure=on_failure, on_completion=on_completion)
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
        reason: The reason in words, for readers of the history.
        decision_id: The triage decision behind the request, if there is one; its reasons, window and verdict are used.
        until: Only data known at this time counts. By default it is the time for which the run was scheduled.

    Returns:
        A state named `TurnCalled`, `TurnCalledAlready`, or `TurnHeldBack` if cooldown, budget or triage refused it.
    """
    context = open_context(model)
    answer = requests.request_turn(context, moment(until), kind, reason, decision_id)
    requests.start_turn(context, answer)
    return requests.final_state(context, answer)
