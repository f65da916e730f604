"""Read files as a source: CSV, Parquet and JSON lines; local, on S3 or on the web."""

import hashlib
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pandas as pd

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import FilesSource
from everfit.blocks.spec import ColumnRoles
from everfit.tasks.core.records import Window
from everfit.tasks.sources.broken_lines import BrokenLines
from everfit.tasks.sources.chunks import Chunk, in_chunks, plain_names, to_frame
from everfit.tasks.sources.csv_files import read_csv
from everfit.tasks.sources.file_state import FileStates
from everfit.tasks.sources.file_systems import filesystem_of
from everfit.tasks.sources.json_files import read_json_lines
from everfit.tasks.sources.packed import unpacked
from everfit.tasks.sources.parquet_files import newest_in_parquet, read_parquet
from everfit.tasks.sources.source_files import (
    SourceFile,
    file_identity,
    first_line,
    format_of,
    listed_files,
    unread_files,
)
from everfit.tasks.sources.times import dated, within

if TYPE_CHECKING:
    import pyarrow as pa
    from fsspec import AbstractFileSystem


_ALL = Window(until=datetime(9999, 1, 1, tzinfo=UTC))


def read_files(
    source: FilesSource, roles: ColumnRoles, window: Window, states: FileStates, texts: Collection[str] = ()
) -> Iterator[Chunk]:
    """Read the files that are new or have changed since they were read.

    A new file is read from its beginning, whatever the window's start, because all of its rows are new.

    Args:
        source: Where the files are.
        roles: Roles of the columns.
        window: Span of event time to read of files that were read before.
        states: Files that were read before; the files that are read now are added.
        texts: Columns of CSV that are text, whatever they look like in a file.

    Raises:
        SourceError: If there is no such file, a file can't be read, or a file changes while it is read.
    """
    timed = roles.event_time is not None
    with _opened(source, states) as (filesystem, files):
        states.empty = [file.origin for file in files if file.is_empty]
        for file in files:
            where = repr(file.origin)
            if file.is_empty and len(states.empty) < len(files):
                continue
            if states.is_done(file.origin, file.identity, timed=timed):
                continue
            span = window if file.origin in states.earlier else Window(until=window.until)
            newest: datetime | None = None
            is_used = file.origin in states.earlier
            broken, like = BrokenLines(), pd.DataFrame()
            for table in in_chunks(_tables(filesystem, file, source, roles, span, texts, states.renamed, broken)):
                states.outdone |= outdone_folders(table, file.partitions)
                table = with_partitions(table, file.partitions)  # noqa: PLW2901
                table = table.rename_columns(plain_names(table.column_names, states.renamed))  # noqa: PLW2901
                frame = dated(to_frame(table, roles, where, states.left_out), roles, source, where, states.mixed_zones)
                if roles.event_time in frame.columns:
                    newest = max(filter(None, [newest, _newest(frame[roles.event_time])]), default=None)
                like = frame.iloc[:0]
                frame = within(frame, roles, span)
                if len(frame):
                    is_used = True
                    yield Chunk(file.origin, frame)
            if broken:
                states.broken[file.origin] = len(broken.reasons)
                yield Chunk(file.origin, broken.rows(like))
            if file.is_plain_parquet and timed and roles.event_time not in file.partitions:
                # Rows outside the window were not read.
                newest = newest_in_parquet(filesystem, file.path, roles.event_time)
            if filesystem is not None and file_identity(filesystem.info(file.path)) != file.identity:
                raise SourceError(f"{file.path!r} changed while it was read; run the turn again")
            states.add(file.origin, file.identity, newest, window.until, is_used=is_used)


def with_partitions(table: "pa.Table", partitions: Mapping[str, str | int | None]) -> "pa.Table":
    """Add the columns that a file's folders give, unless the file has them itself."""
    import pyarrow as pa

    for name, value in partitions.items():
        if name not in table.column_names:
            kind = pa.int64() if isinstance(value, int) else pa.string()
            table = table.append_column(name, pa.repeat(pa.scalar(value, kind), table.num_rows))
    return table


def outdone_folders(table: "pa.Table", partitions: Mapping[str, str | int | None]) -> set[str]:
    """Return the folders such as `region=north` whose column the file has itself, with another value.

    Args:
        table: Rows of the file.
        partitions: Values that the file's folders give, by column.
    """
    import pyarrow.compute as pc

    return {
        f"{name}={value}"
        for name, value in partitions.items()
        if name in table.column_names
        and not pc.all(pc.equal(pc.cast(table[name], "string"), "" if value is None else str(value))).as_py()
    }


def _newest(times: pd.Series) -> datetime | None:
    newest = times.max()
    return None if pd.isna(newest) else newest.to_pydatetime()


@contextmanager
def _opened(source: FilesSource, states: FileStates) -> "Iterator[tuple[AbstractFileSystem | None, list[SourceFile]]]":
    """Yield the files of a source and their file system; files on the web are downloaded first."""
    if source.path.startswith(("http://", "https://")):
        with tempfile.TemporaryDirectory(prefix="everfit-") as folder:
            yield None, [_downloaded(source, Path(folder))]
        return
    filesystem = filesystem_of(source)
    if "file" in filesystem.protocol:  # on S3 it would take a request for each thousand files
        states.unread = unread_files(filesystem, source)
    yield filesystem, listed_files(filesystem, source)


def _downloaded(source: FilesSource, folder: Path) -> SourceFile:
    """Download a file from the web; its identity is the digest of its content."""
    import httpx

    from everfit.tasks.sources.http import check_address, stream_response

    url = check_address(source.path, source.allowed_hosts)
    name = PurePosixPath(urlsplit(url).path).name or "download"
    digest, read, path = hashlib.sha256(), 0, folder / name
    try:
        with (
            httpx.Client(timeout=60) as client,
            stream_response(client, url, retries=5, deadline=time.monotonic() + 6 * 3600) as response,
            path.open("wb") as stream,
        ):
            for part in response.iter_bytes(1 << 20):
                read += len(part)
                if read > source.max_bytes:
                    raise SourceError(
                        f"{url!r} has more than {source.max_bytes:,} bytes; raise source.max_bytes to read it"
                    )
                digest.update(part)
                stream.write(part)
    except httpx.TransportError as error:
        raise SourceError(f"the download of {url!r} broke off: {error}; run the turn again") from error
    return SourceFile(str(path), format_of(name, source), digest.hexdigest(), url)


def _tables(  # noqa: PLR0917
    filesystem: "AbstractFileSystem | None",
    file: SourceFile,
    source: FilesSource,
    roles: ColumnRoles,
    window: Window,
    texts: Collection[str],
    renamed: dict[str, str],
    broken: BrokenLines,
) -> "Iterator[pa.Table | pa.RecordBatch]":
    import pyarrow as pa

    where = repr(file.origin)
    try:
        if file.is_plain_parquet:
            yield from read_parquet(filesystem, file.path, roles, window)
            return
        with _local(filesystem, file.path) as whole, unpacked(whole, file.format, where) as (path, kind):
            if kind == "parquet":
                yield from read_parquet(None, path, roles, _ALL)  # its newest row is looked for among all
            elif kind == "csv":
                yield from read_csv(path, source, roles, where, texts, renamed, broken)
            else:
                yield from read_json_lines(path, source, where, broken)
    except SourceError:
        raise
    except (pa.ArrowException, OSError, ValueError, EOFError) as error:
        raise SourceError(f"{where} can't be read as {file.format}: {first_line(error)}; repair the file") from error


@contextmanager
def _local(filesystem: "AbstractFileSystem | None", path: str) -> Iterator[str]:
    """Yield a local path to the file, which the CSV reader parses twice."""
    if filesystem is None or "file" in filesystem.protocol:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="everfit-") as folder:
        copy = Path(folder) / PurePosixPath(path).name
        with filesystem.open(path, "rb") as stream, copy.open("wb") as target:
            shutil.copyfileobj(stream, target, 8 << 20)
        yield str(copy)
