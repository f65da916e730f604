"""Remember the keys whose rows were deleted on request, so that a source that is read again does not bring them back.

Each deletion has a file of its own in the workspace, with hashes of the requested values. Everything that takes rows or
labels in asks for them first.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import Field

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.core.records import Record
from everfit.tasks.storage.row_hashes import row_hashes
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

Bools = npt.NDArray[np.bool_]

_FOLDER = "deleted-keys"


class DeletedKey(Record):
    """The memory of one request: hashes, and not the values themselves."""

    request: str = Field(description="Digest of the requested key.")
    columns: tuple[str, ...] = Field(description="The key's columns that the request named.")
    values: tuple[int, ...] = Field(description="Hashes of the requested values, in each type that they may have.")
    keys: tuple[int, ...] = Field(description="Hashes of all whole keys that had these values.")


@dataclass(frozen=True)
class DeletedKeys:
    """The deleted keys of a model.

    Attributes:
        requests: One record for each request.
    """

    requests: tuple[DeletedKey, ...] = ()
    _keys: npt.NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        keys = [key for request in self.requests for key in request.keys]
        object.__setattr__(self, "_keys", np.unique(np.array(keys, dtype=np.int64)))

    def among_keys(self, keys: Iterable[int] | npt.NDArray[np.int64]) -> Bools:
        """Return which hashes of whole keys were deleted; shape (keys,)."""
        given = np.asarray(keys if isinstance(keys, np.ndarray) else list(keys), dtype=np.int64)
        return np.isin(given, self._keys)

    def among_rows(self, frame: "pd.DataFrame", keys: npt.NDArray[np.int64]) -> Bools:
        """Return which rows have a deleted key.

        Args:
            frame: Rows whose key columns are brought to their kinds; shape (rows, columns).
            keys: Hashes of the rows' whole keys; shape (rows,).

        Returns:
            The deleted ones; shape (rows,).
        """
        deleted = self.among_keys(keys)
        by_columns: dict[tuple[str, ...], list[int]] = {}
        for request in self.requests:
            by_columns.setdefault(request.columns, []).extend(request.values)
        for columns, values in by_columns.items():
            if set(columns) <= set(frame.columns):
                hashes = row_hashes(frame, columns)
                complete = frame[list(columns)].notna().all(axis=1).to_numpy()
                deleted |= np.isin(hashes, np.array(values, dtype=np.int64)) & complete
        return deleted


def read_deleted_keys(workspace: Workspace, model: str) -> DeletedKeys:
    """Return the deleted keys of a model.

    Raises:
        WorkspaceError: A record can't be read, so that a deleted row could come in again.
    """
    folder, filesystem = workspace.file(model, _FOLDER), workspace.filesystem
    if not filesystem.exists(folder):
        return DeletedKeys()
    paths = sorted(str(path) for path in filesystem.ls(folder, detail=False) if str(path).endswith(".json"))
    return DeletedKeys(tuple(_read(workspace, f"{folder}/{path.rpartition('/')[2]}") for path in paths))


def _read(workspace: Workspace, path: str) -> DeletedKey:
    try:
        return DeletedKey.model_validate(json.loads(workspace.read(path)), extra="ignore")
    except ValueError as error:
        raise WorkspaceError(
            f"{path!r} can't be read, and it says which rows must not come in again; restore it from a backup, or "
            "delete it and run `everfit forget` again for its key"
        ) from error


def remember_key(workspace: Workspace, model: str, deleted: DeletedKey) -> None:
    """Remember a deleted key; one that is remembered already also gets the hashes that are new."""
    path = _path(workspace, model, deleted.request)
    if workspace.exists(path):
        known = _read(workspace, path)
        deleted = deleted.model_copy(
            update={
                "values": tuple(sorted({*known.values, *deleted.values})),
                "keys": tuple(sorted({*known.keys, *deleted.keys})),
            }
        )
    workspace.write(path, deleted.canonical_json().encode())


def allow_key(workspace: Workspace, model: str, request: str) -> bool:
    """Let rows of a deleted key come in again from now on.

    Returns:
        Whether the key was remembered.
    """
    path = _path(workspace, model, request)
    existed = workspace.exists(path)
    workspace.delete(path)
    return existed


def _path(workspace: Workspace, model: str, request: str) -> str:
    return workspace.file(model, _FOLDER, f"{request}.json")
