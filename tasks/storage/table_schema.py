"""Keep the kinds of a model's columns beside its dataset, decided when a column first came in."""

import json
from collections.abc import Mapping
from typing import get_args

from everfit.tasks.storage.kinds import Kind, holds, kind_of_arrow
from everfit.tasks.storage.workspace import Workspace

_KINDS = frozenset(get_args(Kind))


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
    kept, path = {}, schema_path(workspace, model)
    if workspace.exists(path):
        kept = json.loads(workspace.read(path))["columns"]
    return {
        name: kept[name] if kept.get(name) in _KINDS and holds(stored, kept[name]) else kind_of_arrow(stored)
        for name, stored in dataset.columns().items()
        if not name.startswith("_")
    }


def keep_kinds(workspace: Workspace, model: str, kinds: Mapping[str, Kind]) -> None:
    """Keep the kinds of columns; a column that has a kind already keeps it."""
    known = read_kinds(workspace, model)
    content = {"columns": {**kinds, **known}}
    workspace.write(schema_path(workspace, model), json.dumps(content, indent=1).encode())


def schema_path(workspace: Workspace, model: str) -> str:
    """Return the path of the record of a model's kinds."""
    return workspace.file(model, "schema.json")
