"""Make files on a local disk durable: what was written survives a power failure.

Something may be named, or its source be deleted, only after that. On S3 a finished put is durable by itself.
"""

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

_LOG = "_delta_log"


def sync_file(path: Path) -> None:
    """Flush a file to the disk; a file that is gone meanwhile is no error."""
    _sync(path, os.O_RDONLY)


def sync_folder(path: Path) -> None:
    """Flush the names of the files in a folder to the disk."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


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
    folders = {table, table / _LOG, table.parent}
    commits = [table / _LOG / f"{version:020d}.json" for version in versions]
    for commit in commits:
        with suppress(FileNotFoundError):  # a checkpoint has replaced it
            for line in commit.read_text(encoding="utf-8").splitlines():
                added = json.loads(line).get("add")
                if added:
                    path = table / unquote(added["path"])
                    sync_file(path)
                    folders.add(path.parent)
    for folder in sorted(folders, reverse=True):
        sync_folder(folder)
    for commit in commits:
        sync_file(commit)
    sync_folder(table / _LOG)


def _sync(path: Path, flags: int) -> None:
    with suppress(FileNotFoundError):
        descriptor = os.open(path, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
