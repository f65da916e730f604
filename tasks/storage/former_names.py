"""The former names of renamed models, by which a service that runs on finds where the model is now.

A service has no ledger. So each former name has a file in the workspace, which says how the model is called since.
"""

import json

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.storage.workspace import Workspace

_FOLDER = "_renamed"
"""No model has this name, since names begin with a letter or a digit."""


def note_renaming(workspace: Workspace, old: str, new: str, *, moved: bool) -> None:
    """Note that a model is renamed.

    Args:
        workspace: The workspace.
        old: The former name.
        new: The new name, which is no former name any more.
        moved: Whether the model's files have moved. Until then services keep their rows.
    """
    workspace.write(_file(workspace, old), json.dumps({"name": new, "moved": moved}).encode())
    forget_former_name(workspace, new)


def forget_former_name(workspace: Workspace, name: str) -> None:
    """Let a name stand for a model of its own again."""
    workspace.delete(_file(workspace, name))


def present_name(workspace: Workspace, model: str) -> str:
    """Return how a model is called now: by another name if it was renamed.

    Raises:
        WorkspaceError: Its files are being moved, or the note of its renaming can't be read.
    """
    seen = {model}
    while (note := _read(workspace, model)) is not None:
        if not note["moved"]:
            raise WorkspaceError(
                f"{model!r} is being renamed to {note['name']!r}; if that was interrupted, run everfit rename again"
            )
        model = str(note["name"])
        if model in seen:
            raise WorkspaceError(f"the notes in {workspace.file(_FOLDER)!r} rename {model!r} in a circle; delete one")
        seen.add(model)
    return model


def new_name(workspace: Workspace, former: str) -> str | None:
    """Return the name in the note of a former name, also while the files are being moved; None without a note."""
    note = _read(workspace, former)
    return None if note is None else str(note["name"])


def former_names(workspace: Workspace, model: str) -> list[str]:
    """Return the names that a model had before."""
    if not workspace.exists(workspace.file(_FOLDER)):
        return []
    names = [path.rpartition("/")[2] for path in workspace.filesystem.ls(workspace.file(_FOLDER), detail=False)]
    found = [name.removesuffix(".json") for name in sorted(names) if name.endswith(".json")]
    return [name for name in found if _leads_to(workspace, name, model)]


def _leads_to(workspace: Workspace, name: str, model: str) -> bool:
    try:
        return present_name(workspace, name) == model
    except WorkspaceError:
        return False


def _file(workspace: Workspace, name: str) -> str:
    return workspace.file(_FOLDER, f"{name}.json")


def _read(workspace: Workspace, name: str) -> dict[str, object] | None:
    path = _file(workspace, name)
    try:
        note = json.loads(workspace.filesystem.cat_file(path))
        return {"name": note["name"], "moved": note["moved"]}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise WorkspaceError(f"{path!r} doesn't say how the model is called; delete it, and rename again") from error
