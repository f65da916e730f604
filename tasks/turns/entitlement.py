"""Ask the roles of a model's spec whether a person may do something, and record each refusal."""

from datetime import datetime
from typing import Any

from everfit.blocks.roles import Action
from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.people import Person
from everfit.tasks.core.spec_keys import with_current_keys
from everfit.tasks.ledger import Ledger
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.turns.accepted_spec import accepted_spec, require_accepted, roles_in_force
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.package import read_package
from everfit.tasks.turns.refusals import check_role_on_record


def require_role(context: Context, action: Action, person: Person, now: datetime) -> None:
    """Refuse an action to a person without the right to it, and record the refusal in the ledger.

    An action by a spec that no editor has accepted is refused too: how many must approve, or who must have signed a
    version, is in it.

    Args:
        context: The model.
        action: The action.
        person: The person.
        now: The present.

    Raises:
        RoleError: The person may not do this, or the spec is not the accepted one.
    """
    roles = roles_in_force(context.ledger, context.spec)
    check_role_on_record(context.ledger, context.spec.name, roles, action, person, now)
    require_accepted(context.ledger, context.spec)


def require_role_by_record(model: str, action: Action, person: Person, now: datetime, settings: Settings) -> None:
    """Do as `require_role` for a command without a spec, by the accepted one or that of the newest turn that trained.

    Args:
        model: Name of the model.
        action: The action.
        person: The person.
        now: The present.
        settings: The settings of this installation.

    Raises:
        RoleError: The person may not do this.
    """
    recorded = recorded_spec(model, settings)
    if recorded.get("roles", {}).get(action):  # an old spec without roles need not be understood
        spec, ledger = ModelSpec.model_validate({**recorded, "name": model}), Ledger.open_existing(settings)
        check_role_on_record(ledger, model, roles_in_force(ledger, spec), action, person, now)


def recorded_spec(model: str, settings: Settings) -> dict[str, Any]:
    """Return the spec that was accepted last, or else that of the newest turn that trained; empty without any.

    Args:
        model: Name of the model.
        settings: The settings of this installation.

    Returns:
        The spec's content by the keys of today.
    """
    return with_current_keys(_content(model, settings))


def _content(model: str, settings: Settings) -> dict[str, Any]:
    ledger, workspace = Ledger.open_existing(settings), Workspace.of(settings)
    if (accepted := accepted_spec(ledger, model)) is not None:
        return accepted.content
    for turn in reversed(ledger.turns.of(model)):
        if workspace.exists(workspace.turn_file(model, turn.id, "spec.json")):
            return dict(read_package(workspace, model, turn.id).spec)
    return {}
