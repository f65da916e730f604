"""The rows that a diagnosis asks the labelling queue for: labels to check, and rows never seen."""

import json
from collections.abc import Collection

import pandas as pd
from pydantic import Field

from everfit.tasks.core.records import Record, Window
from everfit.tasks.diagnosis.diagnosis import Diagnosed
from everfit.tasks.storage.tables import KEY
from everfit.tasks.storage.workspace import Workspace

SUSPECT, CONTRADICTING = "suspect", "contradicting"
REVIEWED = (SUSPECT, CONTRADICTING)
"""Reasons of rows that have a label already, which a person is asked to check."""
UNSEEN = "unseen"
"""Reason of rows of a kind that the hold-out hardly has."""

_FOLDER = "label-requests"
_MOST = 1_000
"""Rows of a kind that one diagnosis asks for at most."""


class LabelRequest(Record):
    """The rows that one diagnosis asks for."""

    window: Window = Field(description="The event times that were diagnosed.")
    version: int = Field(description="The champion at that time.")
    unseen: bool = Field(description="Whether labels of rows never seen would help.")
    suspects: tuple[int, ...] = Field(default=(), description="Hashes of the keys whose labels are likely wrong.")
    contradicting: tuple[int, ...] = Field(
        default=(), description="Hashes of the keys of rows with the same values and different labels."
    )

    @property
    def is_empty(self) -> bool:
        """Whether it asks for no rows."""
        return not (self.unseen or self.suspects or self.contradicting)

    @property
    def summary(self) -> str:
        """The rows in words; empty if there are none."""
        asked = [f"{len(self.suspects):,} labels to check"] if self.suspects else []
        asked += [f"{len(self.contradicting):,} contradicting rows"] if self.contradicting else []
        asked += ["rows of a kind that the hold-out hardly has"] if self.unseen else []
        return " and ".join(asked)


def request_of(found: Diagnosed, window: Window, version: int) -> LabelRequest:
    """Return what a diagnosis asks for.

    Args:
        found: The diagnosis with its rows, which have the hash of their key.
        window: The event times that were diagnosed.
        version: The champion.
    """
    causes = {part.name for part in found.diagnosis.split.causes}
    return LabelRequest(
        window=window,
        version=version,
        unseen="unseen_rows" in causes,
        suspects=_keys(found.suspects),
        contradicting=_keys(found.contradicting),
    )


def keep_request(workspace: Workspace, model: str, request: LabelRequest) -> None:
    """Keep a request for the next queue; a diagnosis of the same window replaces it.

    Args:
        workspace: The workspace.
        model: Name of the model.
        request: The rows; an empty request removes the earlier one.
    """
    path = _path(workspace, model, request)
    if not request.is_empty:
        workspace.write(path, request.canonical_json().encode())
    elif workspace.exists(path):
        workspace.delete(path)


def read_requests(workspace: Workspace, model: str) -> list[LabelRequest]:
    """Return what diagnoses ask for, by the end of their windows.

    Args:
        workspace: The workspace.
        model: Name of the model.
    """
    folder = workspace.file(model, _FOLDER)
    if not workspace.exists(folder):
        return []
    paths = sorted(str(path) for path in workspace.filesystem.ls(folder, detail=False))
    names = [path.rsplit("/", 1)[-1] for path in paths]
    kept = [name for name in names if name.endswith(".json")]
    return [LabelRequest.recall(json.loads(workspace.read(f"{folder}/{name}"))) for name in kept]


def _keys(rows: pd.DataFrame) -> tuple[int, ...]:
    keys: Collection[int] = rows[KEY].head(_MOST).tolist() if KEY in rows else ()
    return tuple(dict.fromkeys(map(int, keys)))


def _path(workspace: Workspace, model: str, request: LabelRequest) -> str:
    window = request.window
    since = "start" if window.since is None else f"{window.since:%Y%m%dT%H%M%S}"
    return workspace.file(model, _FOLDER, f"{window.until:%Y%m%dT%H%M%S}-{since}-v{request.version}.json")
