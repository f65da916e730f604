"""Ask a person whether a challenger that passed the gate is released."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from everfit.tasks.steps import approval as approval_steps
from everfit.tasks.steps.context import open_context
from everfit.tasks.steps.pages import write_pages
from everfit.tasks.turns.turn_record import AWAITING_APPROVAL


@flow(name="approval", flow_run_name="approve-{turn_id}", on_failure=[write_pages], on_completion=[write_pages])
def approval(model: str, turn_id: str) -> State[dict[str, Any]]:
    """Wait for an answer in the Prefect UI, and carry it out; no worker is held meanwhile.

    Args:
        model: A spec file, the name of a spec in `deployments/models`, or of a stored Model Spec block.
        turn_id: The turn that ended as `AwaitingApproval`.

    Returns:
        A state named after the turn's end: `Promoted`, `OnTrial` if it is tried on live traffic first, `Declined`,
        or `Superseded` if the champion changed meanwhile.
    """
    context = open_context(model)
    request = approval_steps.find_request(context, turn_id)
    number = 0
    while request is not None:
        number += 1
        form = approval_steps.wait_for_answer(context, request, number)
        if approval_steps.decide(context, request, form).state != AWAITING_APPROVAL:
            break
    return approval_steps.final_state(context, turn_id)
