"""Upkeep of one Delta table: delete old rows, compact small files, delete files that no kept version needs.

Each step may be interrupted and repeated, and may run beside writers: Delta refuses a write over a deleted version, and
the writer tries again on the present one.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.data.quarantine import RESOLUTION
from everfit.tasks.retention.upkeep_plan import DayFacts, TableFacts
from everfit.tasks.storage.delta_errors import reason_of
from everfit.tasks.storage.periods import Period, first_day
from everfit.tasks.storage.table_files import files_there
from everfit.tasks.storage.tables import DAY, KEY, ConflictError, Table
from everfit.tasks.storage.workspace import TableName, Workspace

if TYPE_CHECKING:
    import pyarrow as pa

_ATTEMPTS = 5
_KEYS_AT_ONCE = 1_000
_UNFINISHED = 1
"""A file that is in no table version and younger than this many hours may belong to an unfinished commit."""


def table_facts(table: Table, name: TableName, time: str) -> TableFacts:
    """Return the days of a table with their files and rows; of the quarantine only the settled rows.

    Args:
        table: The table.
        name: Its name.
        time: The dataset's column of the event time, which says the day of a row where partitions are longer.
    """
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
            for count in batch[DAY].value_counts().to_pylist():
                settled[count["values"]] += count["counts"]
        counts = {day: (files_of_day, settled[day]) for day, (files_of_day, _) in counts.items()}
    period, partitions = table.period(), list(counts)
    if period != "day":
        rows_of = _rows_by_day(table, time)
        counts = {day: (counts.get(day, (0, 0))[0], rows_of.get(day, 0)) for day in counts.keys() | rows_of.keys()}
    if any(day != first_day(day, period) for day in partitions):
        period = "day"  # lengthening was cut off before the rows were written again
    days = (DayFacts(day=day, files=number, rows=rows) for day, (number, rows) in sorted(counts.items()))
    return TableFacts(name=name, days=tuple(days), period=period)


def _rows_by_day(table: Table, time: str) -> dict[date, int]:
    import pyarrow as pa
    import pyarrow.compute as pc

    counts: Counter[date] = Counter()
    for batch in table.arrow_batches([time]):
        for count in pc.cast(pc.floor_temporal(batch[time], unit="day"), pa.date32()).value_counts().to_pylist():
            counts[count["values"]] += count["counts"]
    return counts


def delete_before(table: Table, name: TableName, day: date, time: str) -> int:
    """Delete the rows of earlier days; past versions keep them. In the quarantine, delete only settled rows.

    Args:
        table: The table.
        name: Its name.
        day: The first day that stays.
        time: The dataset's column of the event time, which says the day of a row where partitions are longer.

    Returns:
        How many rows were deleted.
    """
    settled = f" AND {RESOLUTION} IS NOT NULL" if name == "quarantine" else ""
    old = f"{DAY} < '{day}'"
    if table.period() != "day":
        column = '"' + time.replace('"', '""') + '"'
        old += f" AND cast({column} as date) < '{day}'"
    return _retry(lambda: table.remove(f"{old}{settled}"))


def lengthen(table: Table, period: Period) -> int:
    """Let each partition cover a longer period.

    Returns:
        By how many the files were reduced.
    """
    return _retry(lambda: table.lengthen(period))


def delete_keys(table: Table, keys: Sequence[int]) -> int:
    """Delete the rows of some keys; past versions keep them.

    Returns:
        How many rows were deleted.
    """
    deleted = 0
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        listed = ", ".join(map(str, keys[start : start + _KEYS_AT_ONCE]))
        deleted += _retry(lambda listed=listed: table.remove(f"{KEY} IN ({listed})"))  # type: ignore[misc]
    return deleted


def compact(table: Table) -> int:
    """Compact the files of each day.

    Returns:
        By how many the files were reduced.
    """
    return _retry(table.compact)


def _retry(act: Callable[[], int]) -> int:
    for _ in range(_ATTEMPTS - 1):
        try:
            return act()
        except ConflictError:
            continue  # another process wrote meanwhile; try again on the present version
    return act()


def expired_files(workspace: Workspace, table: Table, history: timedelta, keep: Collection[int]) -> list[str]:
    """Return the files that no version of the last `history` and no version to keep needs.

    Args:
        workspace: The workspace.
        table: The table.
        history: How long past versions stay readable.
        keep: Versions that stay readable however old they are.

    Returns:
        Paths within the table.
    """
    if not table.exists():
        return []
    # Delta also lists files that were deleted before.
    return sorted(set(_vacuum(table, history, keep, dry=True)) & files_there(workspace, table))


def delete_expired_files(workspace: Workspace, table: Table, history: timedelta, keep: Collection[int]) -> int:
    """Delete the expired files.

    Returns:
        How many were deleted.
    """
    expired = expired_files(workspace, table, history, keep)
    if expired:
        _vacuum(table, history, keep, dry=False)
    return len(expired)


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
        problem = reason_of(error)
        raise WorkspaceError(f"files of {table.uri!r} can't be deleted: {problem}; run the upkeep again") from error


def _is_readable(table: Table, version: int) -> bool:
    try:
        table.open(version)
    except WorkspaceError:
        return False
    return True


def delete_past_files(workspace: Workspace, table: Table, keys: Collection[int]) -> int:
    """Delete the files of past versions that hold rows of some keys; those versions can no longer be read.

    Files of unfinished commits stay.

    Returns:
        How many files were deleted.
    """
    deleted = 0
    for path, rows_of_file in _past_files(workspace, table):
        import pyarrow as pa
        import pyarrow.compute as pc

        if pc.any(pc.is_in(rows_of_file[KEY], value_set=pa.array(sorted(keys), pa.int64()))).as_py():
            workspace.filesystem.rm_file(f"{table.uri}/{path}")
            deleted += 1
    return deleted


def past_keys(workspace: Workspace, table: Table, columns: Sequence[str]) -> "Iterator[pa.Table]":
    """Yield some columns of the rows of past versions; columns that a file lacks are omitted."""
    for _, rows_of_file in _past_files(workspace, table, columns):
        yield rows_of_file


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
        raise WorkspaceError(f"past files of {table.uri!r} can't be listed: {reason_of(error)}") from error
    existing = files_there(workspace, table)
    for path in sorted((gone | left) & existing):
        with workspace.filesystem.open(f"{table.uri}/{path}", "rb") as stream:
            file = pq.ParquetFile(stream)
            names = [name for name in (KEY, *columns) if name in file.schema_arrow.names]
            yield path, file.read(columns=names)
