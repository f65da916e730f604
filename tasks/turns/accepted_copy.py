"""The workspace's copy of the accepted spec, for the prediction service, which has no access to the ledger."""

import json
from typing import TYPE_CHECKING

from pydantic import ValidationError

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.storage.workspace import Workspace
from everfit.tasks.turns.accepted_spec import AcceptedSpec, accepted_spec

if TYPE_CHECKING:
    from everfit.tasks.ledger import Ledger


def publish_accepted(ledger: "Ledger", workspace: Workspace, model: str) -> None:
    """Bring the workspace's copy up to date; safe to repeat.

    Args:
        ledger: The ledger.
        workspace: The workspace.
        model: Name of the model.
    """
    accepted = accepted_spec(ledger, model)
    if accepted is None:
        return
    path, content = _path(workspace, model), accepted.canonical_json().encode()
    if not workspace.exists(path) or workspace.filesystem.cat_file(path) != content:
        workspace.write(path, content)


def read_accepted(workspace: Workspace, model: str) -> AcceptedSpec | None:
    """Return the accepted spec as the workspace has it, or None if it has none.

    Args:
        workspace: The workspace.
        model: Name of the model.

    Raises:
        WorkspaceError: The copy is damaged.
    """
    path = _path(workspace, model)
    try:
        content = bytes(workspace.filesystem.cat_file(path))
    except FileNotFoundError:
        return None
    try:
        return AcceptedSpec.recall(json.loads(content))
    except (ValueError, ValidationError) as error:
        raise WorkspaceError(
            f"the accepted spec of {model!r} in {path!r} can't be read; write it again with "
            f"`everfit accept-spec {model}`"
        ) from error


def _path(workspace: Workspace, model: str) -> str:
    return workspace.file(model, "versions", "accepted-spec.json")
