"""Rows and labels of a deleted key are recognised, whole or in part."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.storage.deleted_keys import (
    DeletedKey,
    DeletedKeys,
    allow_key,
    read_deleted_keys,
    remember_key,
)
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.storage.workspace import Workspace

KEY = ["shop", "id"]


def frame(*rows: tuple[str | None, int]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=KEY)


def hashes(rows: pd.DataFrame, columns: list[str]) -> tuple[int, ...]:
    return tuple(row_keys(rows, columns).tolist())


def test_a_part_of_a_key_stands_for_all_its_rows(tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path))
    north = frame(("north", 1))
    # As a number the value is missing, which has a hash as well; no row without a value is deleted by it.
    values = (*hashes(north[["shop"]], ["shop"]), *hashes(frame((None, 1))[["shop"]], ["shop"]))
    remember_key(workspace, "sales", DeletedKey(request="a", columns=("shop",), values=values, keys=hashes(north, KEY)))
    rows = frame(("north", 2), ("south", 1), (None, 1), ("north", 1))
    keys = row_keys(rows, KEY)

    deleted = read_deleted_keys(workspace, "sales")

    assert deleted.among_rows(rows, keys).tolist() == [True, False, False, True]
    assert deleted.among_keys(keys).tolist() == [False, False, False, True]
    assert deleted.among_rows(rows[["id"]], keys).tolist() == [False, False, False, True]
    assert read_deleted_keys(workspace, "other") == DeletedKeys()
    assert allow_key(workspace, "sales", "a")
    assert not allow_key(workspace, "sales", "a")
    assert not read_deleted_keys(workspace, "sales").among_rows(rows, keys).any()


def test_the_same_request_again_keeps_what_was_known(tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path))
    for key in (1, 2):
        remember_key(workspace, "sales", DeletedKey(request="a", columns=("id",), values=(7,), keys=(key,)))

    assert read_deleted_keys(workspace, "sales").among_keys(np.array([1, 2, 3])).tolist() == [True, True, False]


def test_a_record_that_cannot_be_read_is_an_error_and_lets_nothing_in(tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path))
    remember_key(workspace, "sales", DeletedKey(request="a", columns=("id",), values=(7,), keys=(1,)))
    (tmp_path / "sales/deleted-keys/a.json").write_text("{")

    with pytest.raises(WorkspaceError, match="it says which rows must not come in again"):
        read_deleted_keys(workspace, "sales")
