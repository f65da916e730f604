"""Reading a window of a source, piece by piece."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pandas as pd

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import FilesSource
from everfit.blocks.spec import ColumnRoles
from everfit.tasks.records import Window

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pds
    from fsspec import AbstractFileSystem

_FORMATS = {".csv": "csv", ".parquet": "parquet", ".pq": "parquet"}


def read_source(source: FilesSource, columns: ColumnRoles, window: Window) -> Iterator[pd.DataFrame]:
    """Read the rows of a window, one file at a time.

    Yields:
        Frames with the source's own columns; times are UTC.

    Raises:
        SourceError: there is no such file, it can't be read, or it lacks a column that the spec names.
    """
    filesystem, paths = _files(source)
    for path in paths:
        frame = _read_file(filesystem, path, source, columns, window)
        _require_columns(frame, columns, path)
        for name in filter(None, (columns.event_time, columns.label_time)):
            frame[name] = _times(frame[name], name, path)
        event_time = frame[columns.event_time]
        if undated := int(event_time.isna().sum()):
            raise SourceError(
                f"{path!r}: {undated} rows have no {columns.event_time!r}; every row needs its event time"
            )
        inside = event_time < window.until
        if window.since is not None:
            inside &= event_time >= window.since
        if inside.any():
            yield frame[inside].reset_index(drop=True)


def _files(source: FilesSource) -> "tuple[AbstractFileSystem, list[str]]":
    import fsspec

    filesystem, path = fsspec.core.url_to_fs(source.path)
    try:
        if any(character in path for character in "*?["):
            paths = sorted(str(found) for found in filesystem.glob(path))
        elif filesystem.isdir(path):
            paths = sorted(str(found) for found in filesystem.find(path) if _format(str(found), source) is not None)
        else:
            paths = [path] if filesystem.exists(path) else []
    except (OSError, PermissionError) as error:
        raise SourceError(f"source.path {source.path!r} can't be listed: {error}") from error
    if not paths:
        raise SourceError(f"source.path {source.path!r}: there is no such file; give a file, a folder or a glob")
    return filesystem, paths


def _format(path: str, source: FilesSource) -> str | None:
    return source.format or _FORMATS.get(Path(path).suffix.lower())


def _read_file(
    filesystem: "AbstractFileSystem", path: str, source: FilesSource, columns: ColumnRoles, window: Window
) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.dataset as pds

    kind = _format(path, source)
    if kind is None:
        raise SourceError(f"{path!r}: can't tell its format from the name; set source.format to csv or parquet")
    try:
        if kind == "parquet":
            dataset = pds.dataset(path, filesystem=filesystem, format="parquet")
            table = dataset.to_table(filter=_time_filter(dataset.schema, columns.event_time, window))
        else:
            with filesystem.open(path, "rb") as stream:
                table = pa.csv.read_csv(stream, convert_options=pa.csv.ConvertOptions(strings_can_be_null=True))
        return cast("pd.DataFrame", table.to_pandas())
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SourceError(f"{path!r} can't be read as {kind}: {str(error).splitlines()[0]}") from error


def _time_filter(schema: "pa.Schema", event_time: str, window: Window) -> "pds.Expression | None":
    """The window as a condition that Parquet's statistics can skip by, where the column's type allows it."""
    import pyarrow as pa
    import pyarrow.dataset as pds

    if event_time not in schema.names or not pa.types.is_timestamp(schema.field(event_time).type):
        return None
    zone = schema.field(event_time).type.tz
    until, since = pd.Timestamp(window.until), pd.Timestamp(window.since) if window.since else None
    if zone is None:  # times without a zone are UTC
        until, since = until.tz_convert(None), since.tz_convert(None) if since is not None else None
    condition = pds.field(event_time) < until
    # Rows without a time are let through, so that they are told of and not lost.
    condition = condition if since is None else condition & (pds.field(event_time) >= since)
    return condition | pds.field(event_time).is_null()


def _require_columns(frame: pd.DataFrame, columns: ColumnRoles, path: str) -> None:
    named = [*columns.key, columns.event_time, columns.target, *(columns.features or ()), *columns.protected]
    if columns.label_time is not None:
        named.append(columns.label_time)
    if missing := [name for name in dict.fromkeys(named) if name not in frame.columns]:
        raise SourceError(
            f"{path!r} has no column {', '.join(map(repr, missing))}, which the spec names; "
            f"it has {', '.join(map(repr, frame.columns[:20]))}"
        )


def _times(column: pd.Series, name: str, path: str) -> pd.Series:
    """Times as UTC; those without a zone are taken to be UTC."""
    try:
        return pd.to_datetime(column, utc=True).dt.as_unit("us")
    except (ValueError, TypeError) as error:
        raise SourceError(f"{path!r}: {name!r} is not a time: {str(error).splitlines()[0]}") from error
