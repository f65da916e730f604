"""The upkeep of one Delta table: rows that are too old, small files, and files that no state needs any more.

Each of these may be broken off and done again, and may be done while others write: what they were about to write
over a state that is gone is refused by Delta, and they compare again.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.data.quarantine import RESOLUTION
from everfit.tasks.retention.upkeep_plan import DayFacts, TableFacts
from everfit.tasks.storage.table_files import files_there
from everfit.tasks.storage.tables import DAY, KEY, ConflictError, Table
from everfit.tasks.storage.workspace import TableName, Workspace

if TYPE_CHECKING:
    import pyarrow as pa

_ATTEMPTS = 5
_KEYS_AT_ONCE = 1_000
_UNFINISHED = 1
"""A file that no state of the table has, and that is younger than so many hours, may be about to be committed."""


def table_facts(table: Table, name: TableName) -> TableFacts:
    """The days of a table, their files, and their rows; of the quarantine those that were settled."""
    if not table.exists():
        return TableFacts(name=name, days=())
    import pyarrow as pa
    import pyarrow.dataset as pds

    files = pa.table(table.open().get_add_actions(flatten=True)).select([f"partition.{DAY}", "num_records"])
    files = files.rename_columns(["day", "rows"]).group_by("day").aggregate([("rows", "count"), ("rows", "sum")])
    counts = {row["day"]: (row["rows_count"], row["rows_sum"] or 0) for row in files.to_pylist()}
    if name == "quarantine":
        settled = dict.fromkeys(counts, 0)
        for batch in table.arrow_batches([DAY], pds.field(RESOLUTION).is_valid()):
            for found in batch[DAY].value_counts().to_pylist():
                settled[found["values"]] += found["counts"]
        counts = {day: (files_of_day, settled[day]) for day, (files_of_day, _) in counts.items()}
    days = (DayFacts(day=day, files=number, rows=rows) for day, (number, rows) in sorted(counts.items()))
    return TableFacts(name=name, days=tuple(days))


def remove_before(table: Table, name: TableName, day: date) -> int:
    """Remove the rows of earlier days, of the quarantine those that were settled; past states keep them.

    Returns:
        How many rows were removed.
    """
    settled = f" AND {RESOLUTION} IS NOT NULL" if name == "quarantine" else ""
    return _again(lambda: table.remove(f"{DAY} < '{day}'{settled}"))


def remove_keys(table: Table, keys: Sequence[int]) -> int:
    """Remove the rows of some keys; past states keep them.

    Returns:
        How many rows were removed.
    """
    removed = 0
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        listed = ", ".join(map(str, keys[start : start + _KEYS_AT_ONCE]))
        removed += _again(lambda listed=listed: table.remove(f"{KEY} IN ({listed})"))  # type: ignore[misc]
    return removed


def compact(table: Table) -> int:
    """Make one file of the small ones of each day.

    Returns:
        How many files there are less.
    """
    return _again(table.compact)


def _again(act: Callable[[], int]) -> int:
    for _ in range(_ATTEMPTS - 1):
        try:
            return act()
        except ConflictError:
            continue  # somebody wrote meanwhile; what is done is done over what there is now
    return act()


def expired_files(workspace: Workspace, table: Table, history: timedelta, keep: Collection[int]) -> list[str]:
    """The files that no state of the last `history`, and none of the versions to keep, needs.

    Args:
        workspace: Where the table is.
        table: The table.
        history: For how long past states stay readable.
        keep: Versions that stay readable however old they are.

    Returns:
        Paths within the table.
    """
    if not table.exists():
        return []
    # Delta also lists what was removed before.
    return sorted(set(_vacuum(table, history, keep, dry=True)) & files_there(workspace, table))


def remove_expired_files(workspace: Workspace, table: Table, history: timedelta, keep: Collection[int]) -> int:
    """Remove those files.

    Returns:
        How many were removed.
    """
    found = expired_files(workspace, table, history, keep)
    if found:
        _vacuum(table, history, keep, dry=False)
    return len(found)


def _vacuum(table: Table, history: timedelta, keep: Collection[int], *, dry: bool) -> list[str]:
    from deltalake.exceptions import DeltaError

    readable = [version for version in sorted(keep) if _is_readable(table, version)]
    try:
        return table.open().vacuum(
            retention_hours=int(history.total_seconds() // 3_600),
            dry_run=dry,
            enforce_retention_duration=False,
            full=True,
            keep_versions=readable or None,
        )
    except (DeltaError, OSError) as error:
        told = str(error).splitlines()[0]
        raise WorkspaceError(f"files of {table.uri!r} can't be removed: {told}; run the upkeep again") from error


def _is_readable(table: Table, version: int) -> bool:
    try:
        table.open(version)
    except WorkspaceError:
        return False
    return True


def purge_keys(workspace: Workspace, table: Table, keys: Collection[int]) -> int:
    """Remove the files of past states that hold rows of some keys; those states can't be read any more.

    Files that somebody may be about to commit are left alone.

    Returns:
        How many files were removed.
    """
    removed = 0
    for path, found in _past_files(workspace, table):
        import pyarrow as pa
        import pyarrow.compute as pc

        if pc.any(pc.is_in(found[KEY], value_set=pa.array(sorted(keys), pa.int64()))).as_py():
            workspace.filesystem.rm_file(f"{table.uri}/{path}")
            removed += 1
    return removed


def past_keys(workspace: Workspace, table: Table, columns: Sequence[str]) -> "Iterator[pa.Table]":
    """Some columns of the rows of past states; what a file doesn't have is left out."""
    for _, found in _past_files(workspace, table, columns):
        yield found


def _past_files(workspace: Workspace, table: Table, columns: Sequence[str] = ()) -> "Iterator[tuple[str, pa.Table]]":
    import pyarrow.parquet as pq
    from deltalake.exceptions import DeltaError

    opened = table.open()
    try:
        gone = set(opened.vacuum(retention_hours=0, dry_run=True, enforce_retention_duration=False))
        left = set(
            opened.vacuum(retention_hours=_UNFINISHED, dry_run=True, enforce_retention_duration=False, full=True)
        )
    except (DeltaError, OSError) as error:
        raise WorkspaceError(f"past files of {table.uri!r} can't be listed: {error}") from error
    there = files_there(workspace, table)
    for path in sorted((gone | left) & there):
        with workspace.filesystem.open(f"{table.uri}/{path}", "rb") as stream:
            file = pq.ParquetFile(stream)
            names = [name for name in (KEY, *columns) if name in file.schema_arrow.names]
            yield path, file.read(columns=names)
