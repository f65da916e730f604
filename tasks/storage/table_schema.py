"""Keep the kinds of a model's columns beside its dataset, and the functions that change its rows on their way in."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from everfit.tasks.storage.kinds import Kind, holds, kind_of_arrow, kind_on_record
from everfit.tasks.storage.workspace import Workspace


def read_kinds(workspace: Workspace, model: str) -> dict[str, Kind]:
    """Return the kind of each column of a model's dataset; empty before the first batch.

    A dataset of an earlier version has no record of its kinds: they follow from the types of its columns.

    Args:
        workspace: Workspace of the dataset.
        model: Name of the model.
    """
    dataset = workspace.table(model, "dataset")
    if not dataset.exists():
        return {}
    kept = _read(workspace, model).get("columns", {})
    return {
        name: kind
        if (kind := kind_on_record(kept.get(name))) is not None and holds(stored, kind)
        else kind_of_arrow(stored)
        for name, stored in dataset.columns().items()
        if not name.startswith("_")
    }


def read_changed_by(workspace: Workspace, model: str) -> tuple[str, ...]:
    """Return the names of the user's functions that changed the newest rows before they came into the dataset."""
    return tuple(_read(workspace, model).get("changed_by", ()))


def keep_kinds(
    workspace: Workspace, model: str, kinds: Mapping[str, Kind], changed_by: Sequence[str] | None = None
) -> None:
    """Keep the kinds of columns; a column that has a kind already keeps it.

    Args:
        workspace: Workspace of the dataset.
        model: Name of the model.
        kinds: Kinds of columns by name.
        changed_by: Names of the user's functions that changed the rows; None keeps the names on record.
    """
    content = {
        "columns": {**kinds, **read_kinds(workspace, model)},
        "changed_by": list(read_changed_by(workspace, model) if changed_by is None else changed_by),
    }
    workspace.write(schema_path(workspace, model), json.dumps(content, indent=1).encode())


def _read(workspace: Workspace, model: str) -> dict[str, Any]:
    path = schema_path(workspace, model)
    content: dict[str, Any] = json.loads(workspace.read(path)) if workspace.exists(path) else {}
    return content


def schema_path(workspace: Workspace, model: str) -> str:
    """Return the path of the record of a model's kinds."""
    return workspace.file(model, "schema.json")
