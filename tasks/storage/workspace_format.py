"""The version of a workspace's format: older workspaces are migrated when they are opened, and newer ones refused.

The file `everfit.json` at the top of a workspace has the number. Workspaces of everfit 0.1 and 0.2 have no such file:
their format is 0.
"""

import json
import logging
from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.core.time_limit import answer_within

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

logger = logging.getLogger("everfit.storage")

FORMAT_FILE = "everfit.json"

_ANSWERS_WITHIN = 5.0
"""Seconds that a store has to tell the format where the workspace is not needed."""


class WorkspaceFiles(Protocol):
    """The part of a workspace that its format needs."""

    uri: str
    remote: bool

    @property
    def filesystem(self) -> "AbstractFileSystem":
        """Return the file system of the workspace."""

    def file(self, *parts: str) -> str:
        """Return the path of a file."""

    def exists(self, path: str) -> bool:
        """Return whether there is a file or folder."""

    def write(self, path: str, content: bytes) -> None:
        """Write a file."""


def _as_it_is(_: WorkspaceFiles) -> None:
    """Format 1 has the files of format 0, which everfit still reads; only the number is new."""


MIGRATIONS: tuple[Callable[[WorkspaceFiles], None], ...] = (_as_it_is,)
"""The step from each format to the next. Two processes may take a step at once, so each must be safe to repeat."""

FORMAT = len(MIGRATIONS)
"""The format that this everfit writes."""


def bring_up_to_date(workspace: WorkspaceFiles) -> None:
    """Migrate a workspace of an older format; do nothing where there is no workspace yet.

    Raises:
        WorkspaceError: The workspace is of a newer everfit, or its number can't be read.
    """
    found = stored_format(workspace)
    if found is None or found == FORMAT:
        return
    for step in MIGRATIONS[found:]:
        step(workspace)
    content = {"format": FORMAT, "everfit": version("everfit")}
    try:
        workspace.write(workspace.file(FORMAT_FILE), json.dumps(content).encode())
    except OSError as error:  # such as a folder that this process may only read
        logger.debug("the format of %s could not be noted: %s", workspace.uri, error)


def stored_format(workspace: WorkspaceFiles) -> int | None:
    """Return the number of a workspace's format, or None if there is no workspace, or this process may not read it.

    Raises:
        WorkspaceError: The workspace is of a newer everfit, or its number can't be read.
    """
    path = workspace.file(FORMAT_FILE)
    try:
        found = json.loads(workspace.filesystem.cat_file(path))["format"]
    except FileNotFoundError:
        return 0 if workspace.remote or workspace.exists(workspace.uri) else None
    except PermissionError as error:
        logger.debug("the format of %s could not be read: %s", workspace.uri, error)
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise WorkspaceError(
            f"{path!r} doesn't name the workspace's format; restore it from a backup, or delete it if the workspace "
            "was never used by a newer everfit"
        ) from error
    if not isinstance(found, int) or not 0 <= found <= FORMAT:
        raise WorkspaceError(
            f"the workspace {workspace.uri!r} has the format {found!r}, newer than this everfit knows ({FORMAT}); "
            "upgrade everfit here, or use another workspace"
        )
    return found


def refuse_newer(workspace: WorkspaceFiles) -> None:
    """Refuse the workspace of a newer everfit; a store that does not answer refuses nothing.

    For what can be done without the workspace, such as a rollback while its store is down.

    Raises:
        WorkspaceError: The workspace is of a newer everfit, or its number can't be read.
    """
    try:
        answer_within(_ANSWERS_WITHIN, lambda: stored_format(workspace))
    except WorkspaceError:
        raise
    except Exception as error:  # noqa: BLE001 - a store may fail in any way
        logger.debug("the format of %s could not be read: %s", workspace.uri, error)
