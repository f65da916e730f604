"""Remember collections of labels that have begun.

A source's files need not be in the order of their labels. So one that breaks off may have recorded its newest label and
left out older ones, which the next one would pass over, since it begins where the newest known label is.
"""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.core.records import Record, Window
from everfit.tasks.storage.workspace import Workspace

_FOLDER = "label-collections"


class _Begun(Record):
    """The window of a collection that has begun; without `since`, all event times."""

    since: datetime | None
    until: datetime


@dataclass
class BegunCollection:
    """A collection of a window's labels, which is remembered from `begin` to `end`.

    Attributes:
        workspace: The workspace.
        model: The name of the model.
        window: The event times whose labels are collected.
    """

    workspace: Workspace
    model: str
    window: Window
    _covered: list[str] = field(default_factory=list)
    _has_begun: bool = False

    def begin(self) -> None:
        """Remember that labels are about to be recorded; only the first call does something."""
        if self._has_begun:
            return
        since, until = self.window.since, self.window.until
        self._covered = [
            path
            for path, begun in _read_all(self.workspace, self.model)
            if begun.until <= until and (since is None or (begun.since is not None and begun.since >= since))
        ]
        record = _Begun(since=since, until=until).canonical_json().encode()
        path = self.workspace.file(self.model, _FOLDER, f"{hashlib.sha256(record).hexdigest()[:16]}.json")
        self.workspace.write(path, record)
        self._covered.append(path)
        self._has_begun = True

    def end(self) -> None:
        """Forget this collection, and those that broke off and whose windows it covers, since all is recorded."""
        for path in self._covered:
            self.workspace.delete(path)


def begun_since(workspace: Workspace, model: str, since: datetime) -> datetime | None:
    """Return from when on labels may be missing: the earliest of a time and of the collections that broke off.

    Returns:
        The time, or None if one of them was of all event times.
    """
    for _, begun in _read_all(workspace, model):
        if begun.since is None:
            return None
        since = min(since, begun.since)
    return since


def _read_all(workspace: Workspace, model: str) -> list[tuple[str, _Begun]]:
    folder, filesystem = workspace.file(model, _FOLDER), workspace.filesystem
    if not filesystem.exists(folder):
        return []
    names = [str(path).rpartition("/")[2] for path in filesystem.ls(folder, detail=False)]
    paths = [f"{folder}/{name}" for name in sorted(names) if name.endswith(".json")]
    return [(path, begun) for path in paths if (begun := _read(workspace, path)) is not None]


def _read(workspace: Workspace, path: str) -> _Begun | None:
    try:
        content: Any = json.loads(workspace.read(path))
        return _Begun.model_validate(content, extra="ignore")
    except WorkspaceError:  # another collection has ended meanwhile
        return None
    except ValueError as error:
        raise WorkspaceError(
            f"{path!r} can't be read, and it says which labels may be missing; delete it, and collect labels again"
        ) from error
