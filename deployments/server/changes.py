"""What a bootstrap did, or would do."""

from dataclasses import dataclass, field
from typing import Any, Literal

What = Literal["created", "changed", "removed", "left", "kept", "waiting"]


@dataclass(frozen=True)
class Change:
    """What became of one thing.

    Attributes:
        kind: Such as `deployment`.
        name: Of the thing.
        what: `left` was as it should be; `kept` is otherwise, because a person made it so; `waiting` isn't there yet.
        why: In words.
    """

    kind: str
    name: str
    what: What
    why: str = ""


@dataclass
class Changes:
    """All that a bootstrap did, or would do.

    Attributes:
        dry_run: Nothing is done, only told.
        made: In order.
    """

    dry_run: bool
    made: list[Change] = field(default_factory=list)

    def note(self, kind: str, name: str, what: What, why: str = "") -> None:
        """Tell what became of a thing."""
        self.made.append(Change(kind, name, what, why))

    @property
    def any(self) -> bool:
        """Whether anything was changed, or would be."""
        return any(change.what in {"created", "changed", "removed"} for change in self.made)


def differing(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """The keys whose values differ."""
    return [key for key, value in wanted.items() if found.get(key) != value]
