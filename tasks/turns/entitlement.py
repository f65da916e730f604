"""Ask the roles of a model's spec whether a person may do something, and record each refusal."""

from datetime import datetime

from everfit.blocks.roles import Action
from everfit.tasks.core.people import Person, RoleError, check_role
from everfit.tasks.turns.context import Context

REFUSAL = "role"
"""Kind of the decisions that record refusals."""


def require_role(context: Context, action: Action, person: Person, now: datetime) -> None:
    """Refuse an action to a person without the right to it, and record the refusal in the ledger.

    Args:
        context: The model.
        action: The action.
        person: The person.
        now: The present.

    Raises:
        RoleError: The person may not do this.
    """
    model = context.spec.name
    try:
        check_role(model, context.spec.roles, action, person)
    except RoleError as error:
        context.ledger.decisions.record(
            f"{model}/{REFUSAL}/{action}/{now:%Y%m%dT%H%M%S.%f}",
            model=model,
            kind=REFUSAL,
            verdict="refused",
            reasons=[str(error)],
            record=person,
        )
        raise
