"""The changes of a bootstrap."""

from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["created", "changed", "removed", "unchanged", "kept", "waiting"]


@dataclass(frozen=True)
class Change:
    """The change of one thing on the server.

    Attributes:
        kind: The kind of thing, such as `deployment`.
        name: The name of the thing.
        status: `unchanged` needed no change, `kept` was edited by a person, `waiting` can't be created yet.
        reason: The reason, for a person.
    """

    kind: str
    name: str
    status: Status
    reason: str = ""


@dataclass
class Changes:
    """All changes of a bootstrap.

    Attributes:
        dry_run: Whether the changes are only listed and not made.
        made: The changes, in order.
    """

    dry_run: bool
    made: list[Change] = field(default_factory=list)

    def note(self, kind: str, name: str, status: Status, reason: str = "") -> None:
        """Add a change."""
        self.made.append(Change(kind, name, status, reason))

    @property
    def any(self) -> bool:
        """Whether anything changes."""
        return any(change.status in {"created", "changed", "removed"} for change in self.made)


def differing(wanted: dict[str, Any], present: dict[str, Any]) -> list[str]:
    """Return the keys whose values differ."""
    return [key for key, value in wanted.items() if present.get(key) != value]
