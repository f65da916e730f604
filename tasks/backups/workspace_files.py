"""Copy a model's files and tables from a workspace to a backup, and from there to another workspace.

Files are copied before the tables, because what a file names is in a table before. A table is copied at one version:
its log up to there, and its data files, which never change.
"""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import unquote

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.backups.archive import Archive, ArchiveWriter, names_under
from everfit.tasks.storage.durable import sync_tree
from everfit.tasks.storage.workspace import TableName, Workspace

if TYPE_CHECKING:
    from deltalake import DeltaTable

_TABLES: tuple[TableName, ...] = get_args(TableName)
_LOG, _LAST_CHECKPOINT = "_delta_log/", "_delta_log/_last_checkpoint"
_COMMIT = re.compile(r"_delta_log/(\d{20})\.")

FILES = "workspace"

SPOOLS = {"spool": "spool", "label-spool": "labels"}
"""Folder in a backup of each spool of the service: predictions and labels on their way to their tables."""


class ChangedMeanwhileError(WorkspaceError):
    """Files of a table were deleted while it was copied."""


def copy_files(workspace: Workspace, model: str, archive: ArchiveWriter) -> int:
    """Copy the files of a model that belong to no table; return their number."""
    filesystem, folder, count = workspace.filesystem, workspace.file(model), 0
    for name in names_under(filesystem, folder):
        if name.partition("/")[0] in _TABLES or name.endswith(".tmp"):
            continue
        try:
            archive.add_copy(f"{FILES}/{name}", filesystem, f"{folder}/{name}")
            count += 1
        except FileNotFoundError:  # its turn has ended meanwhile
            archive.files.pop(f"{FILES}/{name}", None)
    return count


def copy_spools(serving: Path, archive: ArchiveWriter) -> int:
    """Copy the segments with predictions and labels that the tables do not have yet; return their number.

    This comes before the copy of the tables. So a segment that was drained in between is in its table.
    """
    import fsspec

    local, count = fsspec.filesystem("file"), 0
    for part, folder in SPOOLS.items():
        for path in sorted((serving / folder).glob("*/*.seg")):
            try:
                archive.add_copy(f"{part}/{path.relative_to(serving / folder).as_posix()}", local, str(path))
                count += 1
            except FileNotFoundError:  # it was drained meanwhile
                continue
    return count


def copy_tables(workspace: Workspace, model: str, archive: ArchiveWriter) -> dict[str, int]:
    """Copy the tables of a model, each at one version; return their numbers of rows.

    Raises:
        ChangedMeanwhileError: A file of that version was deleted meanwhile.
    """
    return {
        name: _copy_table(workspace, model, name, archive) for name in _TABLES if workspace.table(model, name).exists()
    }


def _copy_table(workspace: Workspace, model: str, name: TableName, archive: ArchiveWriter) -> int:
    table, filesystem = workspace.table(model, name).open(), workspace.filesystem
    version, folder = int(table.version()), workspace.file(model, name)
    missing = {unquote(path) for path in _live_files(table)}
    rows = int(table.count())
    for relative in names_under(filesystem, folder):
        commit = _COMMIT.match(relative)
        if relative.startswith(_LOG):
            if relative == _LAST_CHECKPOINT or (commit is not None and int(commit[1]) > version):
                continue
        elif not relative.endswith(".parquet"):
            continue
        try:
            archive.add_copy(f"{FILES}/{name}/{relative}", filesystem, f"{folder}/{relative}")
            missing.discard(relative)
        except FileNotFoundError:  # of a version before; upkeep deletes those
            archive.files.pop(f"{FILES}/{name}/{relative}", None)
    if missing:
        raise ChangedMeanwhileError(
            f"files of the table {name!r} of {model!r} were deleted while it was copied, such as {min(missing)!r}; "
            "run the backup again"
        )
    return rows


def _live_files(table: "DeltaTable") -> list[str]:
    import pyarrow as pa

    actions = pa.table(table.get_add_actions())
    paths: list[str] = actions["path"].to_pylist()
    return paths


def restore_files(archive: Archive, workspace: Workspace, model: str) -> int:
    """Copy the files and tables of a backup to a workspace; return their number.

    The log of a table is written last, so that it never names a file that is not there.
    """
    # The copies of the digests are named by ids of MLflow, and are written again.
    names, count = [name for name in archive.names(FILES) if not name.startswith("versions/")], 0
    for name in sorted(names, key=lambda one: (_LOG in one, one)):
        with workspace.writing(workspace.file(model, *name.split("/"))) as stream:
            archive.copy(f"{FILES}/{name}", stream)
        count += 1
    if not workspace.remote and Path(workspace.file(model)).is_dir():
        sync_tree(Path(workspace.file(model)))
    return count


def restore_spools(archive: Archive, serving: Path) -> int:
    """Copy segments to folders that no service has, from which the next start drains them; return their number."""
    return sum(_restore_spool(archive, part, serving / folder) for part, folder in SPOOLS.items())


def _restore_spool(archive: Archive, part: str, spool: Path) -> int:
    taken = {path.name for path in spool.iterdir()} if spool.is_dir() else set()
    places: dict[str, str] = {}
    free = (f"{slot:04d}" for slot in range(10_000) if f"{slot:04d}" not in taken)
    count = 0
    for name in archive.names(part):
        slot, _, segment = name.partition("/")
        if slot not in places:
            places[slot] = next(free)
        path = spool / places[slot] / segment
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as stream:
            archive.copy(f"{part}/{name}", stream)
        count += 1
    if count:
        sync_tree(spool)
    return count


def remembered_deletions(workspace: Workspace, model: str) -> list[str]:
    """Return the names of the records of deleted keys."""
    return names_under(workspace.filesystem, workspace.file(model, "deleted-keys"))


def table_names() -> tuple[TableName, ...]:
    """Return the names of a model's tables."""
    return _TABLES


def read_jsonl(content: bytes) -> list[dict[str, Any]]:
    """Return the objects of a file with one JSON object a line."""
    return [json.loads(line) for line in content.splitlines() if line]
