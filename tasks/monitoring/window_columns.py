"""The distributions of the columns in the newest window, which a look keeps beside the model's tables for its page."""

from typing import TYPE_CHECKING

import orjson
from pydantic import AwareDatetime, ValidationError

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.core.records import Record
from everfit.tasks.statistics.distributions import ColumnDistribution, distributions
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    from everfit.tasks.monitoring.monitored_window import MonitoredWindow

_FILE = "columns.json"


class WindowColumns(Record):
    """The columns of a window against the training data of its champion.

    Attributes:
        until: The end of the window.
        version: The champion.
        trained_until: It has seen no row at or after this.
        columns: In the order of the champion's profile.
    """

    until: AwareDatetime
    version: int
    trained_until: AwareDatetime
    columns: tuple[ColumnDistribution, ...]


def keep_columns(window: "MonitoredWindow") -> None:
    """Keep the distributions of a window, unless those of a later one are there."""
    monitored = window.monitored
    workspace, model = monitored.context.workspace, monitored.context.spec.name
    known = read_columns(workspace, model)
    if known is not None and known.until > monitored.until:
        return
    reference = monitored.reference
    found = WindowColumns(
        until=monitored.until,
        version=monitored.champion.version,
        trained_until=monitored.version.trained_until,
        columns=distributions(reference.profile, window.live.counts),
    )
    workspace.write(workspace.file(model, _FILE), found.canonical_json().encode())


def read_columns(workspace: Workspace, model: str) -> WindowColumns | None:
    """Return the distributions that were kept last; None if there are none, or of another version of everfit.

    Args:
        workspace: The workspace.
        model: The name of the model.
    """
    try:
        return WindowColumns.model_validate(orjson.loads(workspace.read(workspace.file(model, _FILE))))
    except (WorkspaceError, ValidationError, orjson.JSONDecodeError):
        return None
