"""Refuse a command to a person whom the model's spec gives no right to it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from everfit.blocks.roles import Action
    from everfit.tasks.turns.context import Context


def require_command_role(context: "Context", action: "Action") -> None:
    """Refuse an action to the user of the command, if the spec names others.

    Args:
        context: The model.
        action: The action.

    Raises:
        RoleError: The person may not do this, or the spec is not the accepted one.
    """
    from everfit.tasks.ledger import Ledger
    from everfit.tasks.ledger.process_identity import user_name
    from everfit.tasks.registry.accounts import acting_person
    from everfit.tasks.turns.accepted_spec import roles_in_force
    from everfit.tasks.turns.entitlement import require_role

    known = Ledger.schema_of(context.settings) != "none"  # a refused command makes no ledger
    roles = roles_in_force(context.ledger, context.spec) if known else context.spec.roles
    if getattr(roles, action) or roles.edit:
        require_role(context, action, acting_person(context.settings, user_name()), datetime.now(UTC))
