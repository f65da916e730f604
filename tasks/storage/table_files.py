"""Find the files of a Delta table, and those that a window of a version needs."""

from datetime import timedelta

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.core.records import Window
from everfit.tasks.storage.periods import first_day
from everfit.tasks.storage.table_reads import partition_period
from everfit.tasks.storage.tables import DAY, Table
from everfit.tasks.storage.workspace import Workspace


def files_there(workspace: Workspace, table: Table) -> set[str]:
    """Return the paths, within the table, of all existing files with rows, needed or not."""
    filesystem = workspace.filesystem
    root = str(filesystem._strip_protocol(table.uri)).rstrip("/")  # noqa: SLF001 - fsspec has no public equivalent
    if not filesystem.exists(root):
        return set()
    names = (str(path).removeprefix(f"{root}/") for path in filesystem.find(root))
    return {name for name in names if name.endswith(".parquet") and not name.startswith("_delta_log/")}


def files_of(table: Table, version: int, window: Window) -> set[str] | None:
    """Return the paths of the files that a window of a version is read from, or None if the version is gone."""
    try:
        opened = table.open(version)
    except WorkspaceError:
        return None
    import pyarrow as pa

    files = pa.table(opened.get_add_actions(flatten=True))
    first = (
        None if window.since is None else first_day(window.since.date() - timedelta(days=1), partition_period(opened))
    )
    return {
        path
        for path, day in zip(files["path"].to_pylist(), files[f"partition.{DAY}"].to_pylist(), strict=True)
        if day <= window.until.date() and (first is None or day >= first)
    }


def is_whole(workspace: Workspace, table: Table, version: int, window: Window) -> bool:
    """Return whether all files of a version's window exist."""
    needed = files_of(table, version, window)
    return needed is not None and needed <= files_there(workspace, table)
