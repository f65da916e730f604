"""Check the files of a Delta table: each is there, has the recorded size and rows, and can be read."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from everfit.blocks.errors import WorkspaceError
from everfit.tasks.storage.delta_errors import reason_of
from everfit.tasks.storage.tables import Table
from everfit.tasks.storage.workspace import Workspace

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_SHOWN = 5


def check_table(workspace: Workspace, table: Table, known: Mapping[str, str] | None = None) -> list[str]:
    """Return what doesn't fit in the files of a table's newest version, one sentence each; no table fits.

    Args:
        workspace: The workspace of the table.
        table: The table.
        known: SHA-256 of files, by path within the table, as somebody recorded them. Files of a Delta table never
            change, so a file with another digest was changed by something else.
    """
    if not table.exists():
        return []
    try:
        problems = [
            problem
            for path, size, rows in _files(table)
            for problem in _check(workspace.filesystem, f"{table.uri}/{path}", size, rows, (known or {}).get(path))
        ]
    except WorkspaceError as error:
        return [str(error)]
    more = len(problems) - _SHOWN
    return problems if more <= 0 else [*problems[:_SHOWN], f"{more} more files of {table.uri!r} have such faults"]


def file_digests(workspace: Workspace, table: Table) -> dict[str, str]:
    """Return the SHA-256 of each file of a table's newest version, by path within the table."""
    if not table.exists():
        return {}
    return {path: _digest(workspace.filesystem, f"{table.uri}/{path}") for path, _, _ in _files(table)}


def _files(table: Table) -> list[tuple[str, int, int | None]]:
    import pyarrow as pa

    added = pa.table(table.open().get_add_actions(flatten=True))
    rows = added["num_records"].to_pylist() if "num_records" in added.column_names else [None] * len(added)
    return sorted(zip(added["path"].to_pylist(), added["size_bytes"].to_pylist(), rows, strict=True))


def _check(
    filesystem: "AbstractFileSystem", path: str, size: int, rows: int | None, known: str | None
) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        there = int(filesystem.info(path)["size"])
    except FileNotFoundError:
        yield f"{path!r} is missing"
        return
    if there != size:
        yield f"{path!r} has {there:,} bytes, and {size:,} were written"
        return
    if known is not None and _digest(filesystem, path) != known:
        yield f"{path!r} has another content than was recorded"
    try:
        with filesystem.open(path, "rb") as stream:
            file = pq.ParquetFile(stream)
            read = sum(batch.num_rows for batch in file.iter_batches())
    except (pa.ArrowException, OSError, ValueError) as error:
        yield f"{path!r} can't be read: {reason_of(error)}"
        return
    if rows is not None and read != rows:
        yield f"{path!r} has {read:,} rows, and {rows:,} were written"


def _digest(filesystem: "AbstractFileSystem", path: str) -> str:
    with filesystem.open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
