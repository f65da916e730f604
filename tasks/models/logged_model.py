"""Read MLflow's description of a logged model without MLflow, whose import takes longer than loading a model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from everfit.blocks.errors import ModelError

MLMODEL = "MLmodel"

EXAMPLE_KEY, MADE_UP = "everfit_example", "made up"
"""Metadata of a model whose input example is made up, and so no row of its training data."""


@dataclass(frozen=True)
class SignatureColumn:
    """An input of a model's signature.

    Attributes:
        name: Name of the column; None if the signature names no columns.
        type: Type as MLflow writes it, such as `double`; another word for tensors and nested types.
        required: Whether the input is required.
    """

    name: str | None
    type: str
    required: bool


@dataclass(frozen=True)
class LoggedModel:
    """A folder in which MLflow logged a model.

    Attributes:
        folder: Folder with all files.
        content: Content of the file `MLmodel`.
    """

    folder: Path
    content: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the description of a logged model.

        Args:
            folder: Folder in which MLflow logged it.

        Raises:
            ModelError: If there is none, or it can't be read.
        """
        import yaml

        path = folder / MLMODEL
        try:
            loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
            content = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - both are safe
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ModelError(f"{str(path)!r} can't be read: {type(error).__name__}; log the model again") from error
        if not isinstance(content, dict):
            raise ModelError(f"{str(path)!r} is not MLflow's description of a model; log the model again")
        return cls(folder, content)

    def flavor(self, name: str) -> Mapping[str, Any]:
        """Return the description of one way to use the model; empty if it can't be used that way."""
        return (self.content.get("flavors") or {}).get(name) or {}

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Return the metadata that was logged with the model."""
        return self.content.get("metadata") or {}

    @property
    def signature(self) -> tuple[SignatureColumn, ...]:
        """Return the inputs of the signature; empty without one."""
        inputs = (self.content.get("signature") or {}).get("inputs")
        return tuple(
            SignatureColumn(one.get("name"), str(one.get("type")), bool(one.get("required", True)))
            for one in (json.loads(inputs) if inputs else [])
        )

    def example(self) -> dict[str, list[Any]] | None:
        """Return the input example as JSON values by column, or None without one in this form."""
        info = self.content.get("saved_input_example_info") or {}
        if info.get("type") != "dataframe" or info.get("pandas_orient") != "split":
            return None
        path = self.folder / str(info.get("artifact_path"))
        if not path.is_file():
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
        names, rows = content.get("columns"), content.get("data")
        if not names or not rows:
            return None
        return {str(name): [row[place] for row in rows] for place, name in enumerate(names)}
