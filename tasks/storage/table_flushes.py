"""Make the commits of a Delta table on a local disk durable; in a bucket they are so by themselves."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from everfit.tasks.storage.durable import sync_commits, sync_found_commit
from everfit.tasks.storage.table_reads import TableReads

_FIRST_BACK = 10
"""Commits before its own that a process flushes with its first one to a table."""

_FLUSHED: dict[str, int] = {}
"""The last version of each table, by its address, that this process has flushed."""


@dataclass(frozen=True)
class TableFlushes(TableReads):
    """A Delta table whose commits can be flushed."""

    def sync(self, *versions: int) -> None:
        """Make commits of a table on a local disk durable, before anything names them or their source is deleted.

        A commit is worth nothing without those before it, which another process may not have flushed yet, or never
        will. So they are flushed too: all since this process's last flush, or at its first one the last few.

        Args:
            *versions: Versions that the commits made.
        """
        folder = self._folder()
        if folder is None or not versions:
            return
        newest = max(versions)
        flushed = _FLUSHED.get(self.uri, -1)
        since = flushed + 1 if 0 <= flushed < newest else max(0, min(versions) - _FIRST_BACK)
        sync_commits(folder, sorted({*versions, *range(since, newest)}))
        _FLUSHED[self.uri] = newest

    def sync_found(self, transaction: str) -> None:
        """Make a write durable that was found to be made: who made it may have died before its flush.

        Args:
            transaction: Name of the write.
        """
        if (folder := self._folder()) is not None:
            sync_found_commit(folder, lambda action: action.get("txn", {}).get("appId") == transaction)

    def sync_files(self, paths: Collection[str]) -> None:
        """Make the commits durable that added some files, which were found to be there.

        Args:
            paths: Paths or addresses of the files.
        """
        left = {unquote(path.rpartition("/")[2]) for path in paths}

        def is_last(action: Mapping[str, Any]) -> bool:
            left.discard(unquote(action.get("add", {}).get("path", "")).rpartition("/")[2])
            return not left

        if (folder := self._folder()) is not None and left:
            sync_found_commit(folder, is_last)

    def _folder(self) -> Path | None:
        """Return the folder of a table on a local disk."""
        if "://" not in self.uri:
            return Path(self.uri)
        return Path(unquote(self.uri.removeprefix("file://"))) if self.uri.startswith("file://") else None
