"""Ask the roles of a model's spec whether a person may do something, and record each refusal."""

from datetime import datetime

from everfit.blocks.roles import Action
from everfit.blocks.settings import Settings
from everfit.blocks.spec import ModelSpec
from everfit.tasks.core.people import Person, RoleError, check_role
from everfit.tasks.core.spec_keys import with_current_keys
from everfit.tasks.ledger import Ledger
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.turns.context import Context
from everfit.tasks.turns.package import read_package

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


def require_role_by_record(model: str, action: Action, person: Person, now: datetime, settings: Settings) -> None:
    """Do as `require_role` for a command without a spec, by that of the model's newest turn that left a package.

    Args:
        model: Name of the model.
        action: The action.
        person: The person.
        now: The present.
        settings: Of this installation.

    Raises:
        RoleError: The person may not do this.
    """
    workspace = Workspace.of(settings)
    for turn in reversed(Ledger.open_existing(settings).turns.of(model)):
        if workspace.exists(workspace.turn_file(model, turn.id, "spec.json")):
            recorded = read_package(workspace, model, turn.id).spec
            if recorded.get("roles", {}).get(action):  # an old spec without roles need not be understood
                spec = ModelSpec.model_validate({**with_current_keys(recorded), "name": model})
                require_role(Context(spec, settings), action, person, now)
            return
