"""Ask roles whether a person may do something, and record each refusal in the ledger."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from everfit.blocks.roles import Action, RolesPolicy
from everfit.tasks.core.people import Person, RoleError, check_role

if TYPE_CHECKING:
    from everfit.tasks.ledger import Ledger

REFUSAL = "role"
"""Kind of the decisions that record refusals."""


def check_role_on_record(  # noqa: PLR0917 - a person, an action and the roles
    ledger: "Ledger", model: str, roles: RolesPolicy, action: Action, person: Person, now: datetime
) -> None:
    """Refuse an action to a person without the right to it, and record the refusal.

    Args:
        ledger: The ledger.
        model: Name of the model.
        roles: The roles of the model.
        action: The action.
        person: The person.
        now: The present.

    Raises:
        RoleError: The person may not do this.
    """
    with refusals_on_record(ledger, model, action, person, now):
        check_role(model, roles, action, person)


@contextmanager
def refusals_on_record(ledger: "Ledger", model: str, action: Action, person: Person, now: datetime) -> Iterator[None]:
    """Record a refusal of the body, and raise it.

    Args:
        ledger: The ledger.
        model: Name of the model.
        action: The action.
        person: The person.
        now: The present.

    Raises:
        RoleError: The person may not do this.
    """
    try:
        yield
    except RoleError as error:
        ledger.decisions.record(
            f"{model}/{REFUSAL}/{action}/{now:%Y%m%dT%H%M%S.%f}",
            model=model,
            kind=REFUSAL,
            verdict="refused",
            reasons=[str(error)],
            record=person,
        )
        raise
