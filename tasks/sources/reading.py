"""Read a window of any source."""

from collections.abc import Collection, Iterator

import pandas as pd

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import DeltaSource, FilesSource, HttpSource, PythonSource, Source, SqlSource
from everfit.blocks.spec import ColumnRoles
from everfit.tasks.core.records import Window
from everfit.tasks.sources.chunks import Chunk, plain_names, without_bytes
from everfit.tasks.sources.file_state import FileStates
from everfit.tasks.sources.times import dated, within


def read_source(
    source: Source,
    roles: ColumnRoles,
    window: Window,
    states: FileStates | None = None,
    *,
    strict: bool = True,
    texts: Collection[str] = (),
) -> Iterator[Chunk]:
    """Read the rows of a window.

    Args:
        source: The source.
        roles: Roles of the columns.
        window: Span of event time; a source without event times is read as a whole.
        states: Files that were read before, which are skipped unless they changed; files that are read now are added.
        strict: Whether every column that the spec names is required; else only the key and event time are.
        texts: Columns that are text. Files without types, such as CSV, can't show that by their values alone.

    Yields:
        Chunks of bounded size with the source's own columns and times in UTC.

    Raises:
        SourceError: If the source can't be reached or read, or lacks a required column.
    """
    states = FileStates() if states is None else states
    for chunk in _read(source, roles, window, states, texts):
        if not isinstance(source, FilesSource) and any(str(name).startswith("_") for name in chunk.frame.columns):
            chunk.frame.columns = pd.Index(plain_names(list(chunk.frame.columns), states.renamed))
        chunk = Chunk(chunk.origin, without_bytes(chunk.frame, roles, chunk.origin, states.left_out))  # noqa: PLW2901
        _require_columns(list(chunk.frame.columns), roles, chunk.origin, strict=strict)
        if isinstance(source, FilesSource):  # each file has its own window, and was cut to it
            yield chunk
            continue
        frame = within(dated(chunk.frame, roles, source, chunk.origin, states.mixed_zones), roles, window)
        if len(frame):
            yield Chunk(chunk.origin, frame)


def _read(
    source: Source, roles: ColumnRoles, window: Window, states: FileStates, texts: Collection[str]
) -> Iterator[Chunk]:
    match source:
        case FilesSource():
            from everfit.tasks.sources.files import read_files

            return read_files(source, roles, window, states, texts)
        case SqlSource():
            from everfit.tasks.sources.sql import read_sql

            return read_sql(source, roles, window)
        case HttpSource():
            from everfit.tasks.sources.http_api import read_api

            return read_api(source, window)
        case DeltaSource():
            from everfit.tasks.sources.delta import read_delta

            return read_delta(source, roles, window, states.left_out)
        case PythonSource():
            from everfit.tasks.sources.function import read_function

            return read_function(source, window)


def _require_columns(names: list[str], roles: ColumnRoles, where: str, *, strict: bool) -> None:
    by_case: dict[str, str] = {}
    for name in names:
        if (other := by_case.setdefault(name.lower(), name)) != name:
            raise SourceError(
                f"{where} has the columns {other!r} and {name!r}, which differ by case alone, and a Delta table takes "
                f"them for one; rename one of them in the source"
            )
    required = roles.named() if strict else [*roles.key, *filter(None, [roles.event_time])]
    if missing := [name for name in required if name not in names]:
        shown = f"{', '.join(repr(name[:100]) for name in names[:20])}{', …' if len(names) > 20 else ''}"
        hint = "; if its delimiter is another one, set source.delimiter (`everfit init --delimiter`)"
        raise SourceError(
            f"{where} has no column {', '.join(map(repr, missing))}, which the spec names; it has {shown}"
            f"{hint if len(names) == 1 else ''}"
        )
