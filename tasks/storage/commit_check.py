"""Check the commits of a Delta table: each change of rows is everfit's, and the log has no gap and was not cut.

Each commit of everfit that changes rows names the write as an application transaction of Delta. Compacting says that it
changes no rows, so it must leave as many as there were.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import orjson

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.storage.tables import Table
from everfit.tasks.storage.workspace import Workspace

_AT_ONCE = 500
"""Commits that are read in one request of the file system."""

_SHOWN = 5


def check_commits(workspace: Workspace, table: Table, since: int, recorded: Collection[str]) -> list[str]:
    """Return what doesn't fit in the commits of a table, one sentence each.

    Args:
        workspace: The workspace of the table.
        table: The table.
        since: Version of the table that a person has recorded, whose commits are not checked; -1 for none.
        recorded: Paths of the files that the table had then.
    """
    import pyarrow as pa

    if not table.exists():
        return [f"{table.uri!r} is gone; {len(recorded):,} files of it were recorded"] if recorded else []
    opened = table.open()
    newest = int(opened.version())
    if newest < since:
        return [f"the log of {table.uri!r} ends at version {newest}, and version {since} was recorded: it was cut"]
    later = [version for version in _versions(workspace, table) if version > since]
    problems, removed = [], set[str]()
    for version, actions in _commits(workspace, table, later):
        removed |= {unquote(action["remove"]["path"]) for action in actions if "remove" in action}
        problems += [f"commit {version} of {table.uri!r} {problem}" for problem in _check(table, version, actions)]
    missing = sorted(set(range(later[0], newest + 1)) - set(later)) if later else []
    problems += [f"commit {version} of {table.uri!r} is missing" for version in missing]
    if since >= 0 and (newest == since or (later and later[0] == since + 1)):  # or else Delta has cleaned the log up
        present = set(map(unquote, pa.table(opened.get_add_actions(flatten=True))["path"].to_pylist()))
        gone = sorted(set(map(unquote, recorded)) - present - removed)
        problems += [f"{path!r} of {table.uri!r} was recorded, and no commit has removed it since" for path in gone]
    more = len(problems) - _SHOWN
    return problems if more <= 0 else [*problems[:_SHOWN], f"{more} more such faults in the log of {table.uri!r}"]


def _versions(workspace: Workspace, table: Table) -> list[int]:
    paths = map(str, workspace.filesystem.glob(f"{table.uri}/_delta_log/*.json"))
    names = (path.rpartition("/")[2].removesuffix(".json") for path in paths)
    return sorted(int(name) for name in names if name.isdecimal())


def _commits(workspace: Workspace, table: Table, versions: list[int]) -> Iterator[tuple[int, list[Mapping[str, Any]]]]:
    for start in range(0, len(versions), _AT_ONCE):
        paths = [f"{table.uri}/_delta_log/{version:020d}.json" for version in versions[start : start + _AT_ONCE]]
        contents = workspace.filesystem.cat(paths)
        by_version = {int(path.rpartition("/")[2].removesuffix(".json")): text for path, text in contents.items()}
        for version, text in sorted(by_version.items()):
            yield version, [orjson.loads(line) for line in text.splitlines() if line]


def _check(table: Table, version: int, actions: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what doesn't fit in the actions of a commit."""
    by_kind: dict[str, list[Mapping[str, Any]]] = {}
    for action in actions:
        for kind, content in action.items():
            by_kind.setdefault(kind, []).append(content)
    changes = [*by_kind.get("add", ()), *by_kind.get("remove", ())]
    if any(change.get("dataChange", True) for change in changes):
        if "txn" not in by_kind:
            yield f"({_about(by_kind)}) changed rows, and was not made by everfit"
    elif changes:
        before, after = _rows(table, version - 1), _rows(table, version)
        if None not in {before, after} and before != after:
            yield f"({_about(by_kind)}) says that it changed no rows, and made {after:,} of {before:,}"


def _rows(table: Table, version: int) -> int | None:
    """Return the rows of a version; None if it can't be read any more or does not say."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        files = pa.table(table.open(version).get_add_actions(flatten=True))
    except WorkspaceError:
        return None
    return pc.sum(files["num_records"]).as_py() if "num_records" in files.column_names else None


def _about(by_kind: Mapping[str, list[Mapping[str, Any]]]) -> str:
    about = next(iter(by_kind.get("commitInfo", ())), {})
    at = datetime.fromtimestamp(int(about.get("timestamp", 0)) / 1_000, UTC)
    return f"{about.get('operation', 'unknown')} at {at:%Y-%m-%d %H:%M:%S} UTC"
