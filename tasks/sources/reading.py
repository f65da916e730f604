"""Reading a window of any source."""

from collections.abc import Iterator

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import DeltaSource, FilesSource, HttpSource, PythonSource, Source, SqlSource
from everfit.blocks.spec import ColumnRoles
from everfit.tasks.core.records import Window
from everfit.tasks.sources.chunks import Chunk, dated, within
from everfit.tasks.sources.file_state import FileStates


def read_source(
    source: Source, roles: ColumnRoles, window: Window, marks: FileStates | None = None, *, strict: bool = True
) -> Iterator[Chunk]:
    """Read the rows of a window.

    Args:
        source: Where they are.
        roles: The roles of the columns.
        window: Of event time; sources without event times give all their rows.
        marks: The files read earlier, which are left out unless they changed; those read now are added.
        strict: Whether a column that the spec names must be there; else only key and event time must.

    Yields:
        Pieces of bounded size with the source's own columns; times are UTC.

    Raises:
        SourceError: the source can't be reached or read, or it lacks a column that the spec names.
    """
    marks = FileStates() if marks is None else marks
    for piece in _read(source, roles, window, marks):
        _require_columns(list(piece.frame.columns), roles, piece.origin, strict=strict)
        if isinstance(source, FilesSource):  # cut already, since each file has a window of its own
            yield piece
            continue
        frame = within(dated(piece.frame, roles, source.time_format, piece.origin), roles, window)
        if len(frame):
            yield Chunk(piece.origin, frame)


def _read(source: Source, roles: ColumnRoles, window: Window, marks: FileStates) -> Iterator[Chunk]:
    match source:
        case FilesSource():
            from everfit.tasks.sources.files import read_files

            return read_files(source, roles, window, marks)
        case SqlSource():
            from everfit.tasks.sources.sql import read_sql

            return read_sql(source, roles, window)
        case HttpSource():
            from everfit.tasks.sources.http_api import read_api

            return read_api(source, window)
        case DeltaSource():
            from everfit.tasks.sources.delta import read_delta

            return read_delta(source, roles, window)
        case PythonSource():
            from everfit.tasks.sources.function import read_function

            return read_function(source, window)


def _require_columns(found: list[str], roles: ColumnRoles, where: str, *, strict: bool) -> None:
    needed = roles.named() if strict else [*roles.key, *filter(None, [roles.event_time])]
    if missing := [name for name in needed if name not in found]:
        shown = f"{', '.join(repr(name[:100]) for name in found[:20])}{', …' if len(found) > 20 else ''}"
        hint = "; if something else parts its values, say so by source.delimiter (`everfit init --delimiter`)"
        parted = hint if len(found) == 1 else ""
        raise SourceError(
            f"{where} has no column {', '.join(map(repr, missing))}, which is asked for; it has {shown}{parted}"
        )
