"""Make files on a local disk durable: what was written survives a power failure.

Something may be named, or its source be deleted, only after that. On S3 a finished put is durable by itself.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

_LOG = "_delta_log"


def sync_file(path: Path) -> None:
    """Flush a file to the disk; a file that is gone meanwhile is no error."""
    _sync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Flush the names of the files in a folder to the disk."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def make_folder(path: Path) -> None:
    """Make a folder with its parents, if need be, and flush the names of those that are new."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync_folder(folder.parent)


def sync_tree(folder: Path) -> None:
    """Flush a folder with all files and folders in it, and its own name."""
    for place, _, names in os.walk(folder):
        for name in names:
            sync_file(Path(place, name))
        sync_folder(Path(place))
    sync_folder(folder.parent)


def sync_commits(table: Path, versions: Iterable[int]) -> None:
    """Flush commits of a Delta table: the files that they add first, and then their own.

    Args:
        table: Folder of the table.
        versions: Versions of the table that the commits made.
    """
    written = list(versions)
    folders = {table, table / _LOG, table.parent}
    if 0 in written:
        folders.add(table.parent.parent)  # the model's folder may be as new as its first table
    commits = [table / _LOG / f"{version:020d}.json" for version in written]
    for commit in commits:
        with suppress(FileNotFoundError):  # a checkpoint has replaced it
            for line in commit.read_bytes().splitlines():
                added = json.loads(line).get("add")
                if added:
                    path = table / unquote(added["path"])
                    sync_file(path)
                    folders.add(path.parent)
    for folder in sorted(folders - {table / _LOG}, reverse=True):
        sync_folder(folder)
    for commit in commits:  # before its name, or a power cut could leave an empty one
        sync_file(commit)
    sync_folder(table / _LOG)


def sync_found_commit(table: Path, is_it: Callable[[Mapping[str, Any]], bool]) -> None:
    """Flush a commit of a Delta table that was found to be made, and those after it.

    Its writer may have died, or met an error, between the commit and its flush.

    Args:
        table: Folder of the table.
        is_it: Function that tells from an action of a commit whether the commit is the one. Without such a commit, all
            that the log still has are flushed.
    """
    versions = []
    for commit in sorted((table / _LOG).glob("*.json"), reverse=True):
        if not commit.stem.isdecimal():
            continue
        versions.append(int(commit.stem))
        with suppress(FileNotFoundError):
            lines = commit.read_bytes().splitlines()
            if any(is_it(json.loads(line)) for line in lines if line):
                break
    sync_commits(table, versions)


def drop_torn_start(table: Path) -> None:
    """Delete the first commit of a Delta table if a power cut has left it without its content and nothing follows it.

    Nothing was named or deleted that depends on it: that waits for `sync_commits`.
    """
    start = table / _LOG / f"{0:020d}.json"
    try:
        with start.open("rb") as stream:
            is_torn = stream.read(1) != b"{"
    except OSError:
        return
    if is_torn and [path.name for path in start.parent.iterdir() if not path.name.startswith(".")] == [start.name]:
        start.unlink()
        sync_folder(start.parent)


def _sync(path: Path, flags: int) -> None:
    with suppress(FileNotFoundError):
        descriptor = os.open(path, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
