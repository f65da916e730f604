"""Which block gets the messages of models whose spec names none. Each project on a Prefect server has its own. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self


@dataclass(frozen=True)
class ReceiversByProject:
    """The blocks that `everfit bootstrap --notify` has named.

    Attributes:
        blocks: The block of each project, as `type/name`.
        projects: The project of each model.
    """

    blocks: Mapping[str, str] = field(default_factory=dict)
    projects: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, stored: Any, project: str = "") -> Self:
        """Read the value of the variable.

        Args:
            stored: The value. Earlier versions stored the name of one block.
            project: The project to which such a block belongs.
        """
        if isinstance(stored, str) and stored:
            return cls(blocks={project: stored})
        if not isinstance(stored, dict):
            return cls()
        return cls(blocks=dict(stored.get("blocks", {})), projects=dict(stored.get("projects", {})))

    def with_project(self, project: str, block: str, models: Sequence[str]) -> Self:
        """Return these with the block of a project and its models."""
        others = {model: name for model, name in self.projects.items() if name != project}
        own = dict.fromkeys(models, project)
        return replace(self, blocks={**self.blocks, project: block}, projects={**others, **own})

    def content(self) -> dict[str, Any]:
        """Return the value of the variable."""
        return {"blocks": dict(self.blocks), "projects": dict(self.projects)}

    def of(self, model: str) -> str | None:
        """Return the block for a model. One that no project has gets the only block that there is.

        Args:
            model: The name of the model.
        """
        known = self.blocks.get(self.projects.get(model, ""))
        different = set(self.blocks.values())
        return known or (next(iter(different)) if len(different) == 1 and model not in self.projects else None)
