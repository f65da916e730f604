"""People who decide: their names, how those are known, and their rights. Pure."""

from everfit.blocks.errors import EverfitError
from everfit.blocks.roles import Action, RolesPolicy
from everfit.tasks.core.records import Record

AS_STATED = "as stated"
"""The identity of a name that nobody has checked."""

_VERBS = {
    "train": "start a turn",
    "approve": "approve or decline",
    "roll_back": "roll back",
    "forget": "forget rows",
    "quarantine": "decide about quarantined rows",
    "retire": "end or rename the model",
    "label": "record labels",
    "edit": "change the spec",
}


class RoleError(EverfitError):
    """A person may not do this, by the roles in the spec; nothing was changed."""


class Person(Record):
    """A person who decides.

    Attributes:
        name: The name as it was given.
        account: The user that MLflow knows by a login; empty if nobody has checked the name.
    """

    name: str
    account: str = ""

    @property
    def identity(self) -> str:
        """How the name is known, in words."""
        if not self.account:
            return AS_STATED
        return "logged in to MLflow" if self.account == self.name else f"logged in to MLflow as {self.account}"

    @property
    def signed(self) -> str:
        """The name with how it is known, as records and pages show it."""
        return f"{self.name} ({self.identity})"

    @property
    def counted(self) -> str:
        """The name that counts: the account if there is one. Letter case does not tell people apart."""
        return (self.account or self.name).strip().casefold()


def check_role(model: str, roles: RolesPolicy, action: Action, person: Person) -> None:
    """Refuse an action to a person without the right to it.

    Args:
        model: Name of the model.
        roles: The roles in the model's spec.
        action: The action.
        person: The person.

    Raises:
        RoleError: The roles name others, or want a name that MLflow knows.
    """
    allowed: tuple[str, ...] = getattr(roles, action)
    if not allowed:
        return
    if person.counted not in {name.strip().casefold() for name in allowed}:
        raise RoleError(
            f"{person.signed} may not {_VERBS[action]} for {model!r}: roles.{action} in the spec names "
            f"{', '.join(allowed)}; ask one of them"
        )
    if roles.logged_in and not person.account:
        raise RoleError(
            f"the name {person.name!r} is only stated, and roles.logged_in in the spec of {model!r} wants one that "
            "MLflow knows; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, and run the command again"
        )
