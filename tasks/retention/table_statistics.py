"""Remove values of deleted rows from the log of a table, which has the least and greatest values of each file."""

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from everfit.tasks.storage.tables import Table
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    from deltalake import DeltaTable

_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint.*\.parquet")


def forget_statistics(workspace: Workspace, table: Table) -> int:
    """Reduce what the log says of files that are no longer in a table to their numbers of rows; safe to repeat.

    Delta skips files by these values when it reads a past version. Without them it opens the files.

    Args:
        workspace: The workspace.
        table: The table.

    Returns:
        Number of commits that were changed.
    """
    opened = table.open()
    live, folder = _live_files(opened), f"{table.uri}/_delta_log"
    names = [str(path).rpartition("/")[2] for path in workspace.filesystem.ls(folder, detail=False)]
    old = [name for name in names if _version(_CHECKPOINT, name) >= 0]
    if old:  # a new checkpoint has the files of the table only, and commits replace the older ones
        opened.create_checkpoint()
        for name in old:
            if _version(_CHECKPOINT, name) < opened.version():
                workspace.filesystem.rm_file(f"{folder}/{name}")
    changed = 0
    for name in names:
        if _version(_COMMIT, name) < 0:
            continue
        content = bytes(workspace.filesystem.cat_file(f"{folder}/{name}"))
        reduced = b"\n".join(_reduced(line, live) for line in content.splitlines())
        if reduced != b"\n".join(content.splitlines()):
            workspace.write(f"{folder}/{name}", reduced)
            changed += 1
    return changed


def _version(pattern: re.Pattern[str], name: str) -> int:
    found = pattern.fullmatch(name)
    return int(found[1]) if found else -1


def _live_files(table: "DeltaTable") -> set[str]:
    import pyarrow as pa

    return {unquote(path) for path in pa.table(table.get_add_actions())["path"].to_pylist()}


def _reduced(line: bytes, live: set[str]) -> bytes:
    """Return a line of a commit without the values of a file that is no longer in the table."""
    action: dict[str, Any] = json.loads(line) if line.strip() else {}
    for kind in ("add", "remove"):
        file = action.get(kind)
        if file and file.get("stats") and unquote(file["path"]) not in live:
            rows = json.loads(file["stats"]).get("numRecords")
            reduced = {} if rows is None else {"numRecords": rows}
            if json.loads(file["stats"]) != reduced:
                file["stats"] = json.dumps(reduced)
                return json.dumps(action).encode()
    return line
