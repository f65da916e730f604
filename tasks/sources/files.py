"""Read files as a source: CSV, Parquet and JSON lines; local, on S3 or on the web."""

import hashlib
import itertools
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pandas as pd

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import FilesSource
from everfit.blocks.spec import ColumnRoles
from everfit.tasks.core.records import Window
from everfit.tasks.sources.chunks import Chunk, dated, in_chunks, plain_names, to_frame, within
from everfit.tasks.sources.csv_files import read_csv
from everfit.tasks.sources.file_state import FileStates
from everfit.tasks.sources.json_files import read_json_lines
from everfit.tasks.sources.parquet_files import newest_in_parquet, read_parquet

if TYPE_CHECKING:
    import pyarrow as pa
    from fsspec import AbstractFileSystem

_FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".data": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}


_UNREAD_FORMATS = frozenset(
    {
        ".zip",
        ".xlsx",
        ".xls",
        ".avro",
        ".orc",
        ".feather",
        ".arrow",
        ".bz2",
        ".xz",
        ".zst",
        ".7z",
        ".tar",
        ".tgz",
        ".rar",
    }
)
"""Endings of files that hold data in a format that everfit doesn't read."""


@dataclass(frozen=True)
class _File:
    """A file to read."""

    path: str
    format: str
    identity: str
    origin: str


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
        for file in files:
            where = repr(file.origin)
            if states.is_done(file.origin, file.identity, timed=timed):
                continue
            span = window if file.origin in states.earlier else Window(until=window.until)
            newest: datetime | None = None
            for table in in_chunks(_tables(filesystem, file, source, roles, span, texts, states.renamed)):
                table = table.rename_columns(plain_names(table.column_names, states.renamed))  # noqa: PLW2901
                frame = dated(to_frame(table, roles, where), roles, source, where)
                if roles.event_time in frame.columns:
                    newest = max(filter(None, [newest, _newest(frame[roles.event_time])]), default=None)
                frame = within(frame, roles, span)
                if len(frame):
                    yield Chunk(file.origin, frame)
            if file.format == "parquet" and timed:  # rows outside the window were not read
                newest = newest_in_parquet(filesystem, file.path, roles.event_time)
            if filesystem is not None and _identity(filesystem.info(file.path)) != file.identity:
                raise SourceError(f"{file.path!r} changed while it was read; run the turn again")
            states.add(file.origin, file.identity, newest, window.until)


def _newest(times: pd.Series) -> datetime | None:
    newest = times.max()
    return None if pd.isna(newest) else newest.to_pydatetime()


@contextmanager
def _opened(source: FilesSource, states: FileStates) -> "Iterator[tuple[AbstractFileSystem | None, list[_File]]]":
    """Yield the files of a source and their file system; files on the web are downloaded first."""
    if source.path.startswith(("http://", "https://")):
        with tempfile.TemporaryDirectory(prefix="everfit-") as folder:
            yield None, [_downloaded(source, Path(folder))]
        return
    filesystem = filesystem_of(source)
    if "file" in filesystem.protocol:  # on S3 it would take a request for each thousand files
        states.unread = _unread_files(filesystem, source)
    yield filesystem, listed_files(filesystem, source)


def filesystem_of(source: FilesSource) -> "AbstractFileSystem":
    """Return the file system of the path, with the credentials that the source names.

    Raises:
        SourceError: If the block doesn't exist, or the path's scheme is unknown.
    """
    import fsspec

    scheme, separator, _ = source.path.partition("://")
    if separator and scheme not in {"file", "s3"}:
        raise SourceError(f"source.path {source.path!r}: {scheme!r} is not supported; use a path, s3:// or https://")
    options = s3_options(source.credentials) if scheme == "s3" and separator else {}
    return fsspec.core.url_to_fs(source.path, **options)[0]


def s3_options(block: str | None) -> dict[str, Any]:
    """Return the options for s3fs: the credentials of a stored block, or else those of the environment.

    Raises:
        SourceError: If the block doesn't exist.
    """
    # Don't cache listings: a new file must be visible.
    options: dict[str, Any] = {"use_listings_cache": False, "config_kwargs": {"connect_timeout": 10}}
    if block is None:
        return options
    from prefect_aws import AwsCredentials

    try:
        credentials: Any = AwsCredentials.load(block)
    except ValueError as error:
        raise SourceError(
            f"source.credentials: there is no AwsCredentials block {block!r}; create it in Prefect"
        ) from error
    secret, client = credentials.aws_secret_access_key, credentials.aws_client_parameters
    return options | {
        "key": credentials.aws_access_key_id,
        "secret": secret.get_secret_value() if secret else None,
        "token": credentials.aws_session_token,
        "client_kwargs": {"region_name": credentials.region_name},
        "endpoint_url": getattr(client, "endpoint_url", None),
    }


def is_readable(path: str, source: FilesSource) -> bool:
    """Return whether the format of a file is known from its name or the spec."""
    return _format(path, source) is not None


def listed_files(filesystem: "AbstractFileSystem", source: FilesSource, *, required: bool = True) -> list[_File]:
    """List the files of a source in their current state.

    Args:
        filesystem: File system of the source.
        source: Path, folder or glob to list.
        required: Whether an empty list is an error.

    Raises:
        SourceError: If the files can't be listed, or there are none.
    """
    path = filesystem._strip_protocol(source.path)  # noqa: SLF001 - fsspec has no public equivalent
    try:
        paths = _paths(filesystem, path, source)
        files = [_File(name, _format_of(name, source), _identity(filesystem.info(name)), name) for name in paths]
    except SourceError:
        raise
    except Exception as error:  # every store's client has its own errors
        raise SourceError(
            f"source.path {source.path!r} can't be listed: {type(error).__name__}: {_first_line(error)}; "
            f"check the address and the credentials"
        ) from error
    if not files and required:
        raise SourceError(f"source.path {source.path!r} matches no file; give a file, a folder or a glob")
    return files


def _paths(filesystem: "AbstractFileSystem", path: str, source: FilesSource) -> list[str]:
    """Return the files of a path, folder or glob; a path that exists is no glob, whatever its characters."""
    if filesystem.isdir(path):
        names = [str(name) for name in filesystem.find(path)]
        return sorted(name for name in names if not is_hidden(name, path) and is_readable(name, source))
    if filesystem.exists(path):
        return [path]
    if not any(character in path for character in "*?["):
        return []
    return sorted(name for name in map(str, filesystem.glob(path)) if not is_hidden(name, path))


def is_hidden(name: str, path: str) -> bool:
    """Return whether a file, or a folder of it, has a name that begins with . or _, unless the path asks for it.

    Such names are no data to Spark and pyarrow: files of a system, of a write in progress, or of a checkpoint.
    """
    named = PurePosixPath(path).parts
    return any(part[0] in "._" and part not in named for part in PurePosixPath(name).parts[len(_fixed(path)) :])


def _fixed(path: str) -> tuple[str, ...]:
    """Return the folders of a path before the first glob."""
    parts = PurePosixPath(path).parts
    return tuple(itertools.takewhile(lambda part: not any(character in part for character in "*?["), parts))


def _unread_files(filesystem: "AbstractFileSystem", source: FilesSource) -> list[str]:
    """Return the files in a source's folder that look like data, and that can't be read."""
    path = filesystem._strip_protocol(source.path)  # noqa: SLF001 - fsspec has no public equivalent
    folder = path if filesystem.isdir(path) else str(PurePosixPath(path).parent)
    if any(character in folder for character in "*?[") or not filesystem.isdir(folder):
        return []
    names = filesystem.find(folder, maxdepth=None if folder == path else 1)
    return sorted(
        str(name)
        for name in names
        if not is_hidden(str(name), folder) and PurePosixPath(str(name)).suffix.lower() in _UNREAD_FORMATS
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _identity(info: dict[str, Any]) -> str:
    """Return a text that changes whenever the file's content does."""
    tag = info.get("ETag") or info.get("mtime") or info.get("LastModified") or ""
    return f"{info.get('size')}:{tag}"


def _format(path: str, source: FilesSource) -> str | None:
    suffixes = [suffix.lower() for suffix in PurePosixPath(path).suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return source.format or (_FORMATS.get(suffixes[-1]) if suffixes else None)


def _format_of(path: str, source: FilesSource) -> str:
    kind = _format(path, source)
    if kind is None:
        raise SourceError(
            f"can't tell the format of {path!r} from its name; set source.format to csv, parquet or jsonl "
            f"(`everfit init --format`)"
        )
    return kind


def _downloaded(source: FilesSource, folder: Path) -> _File:
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
    return _File(str(path), _format_of(name, source), digest.hexdigest(), url)


def _tables(  # noqa: PLR0917
    filesystem: "AbstractFileSystem | None",
    file: _File,
    source: FilesSource,
    roles: ColumnRoles,
    window: Window,
    texts: Collection[str],
    renamed: dict[str, str],
) -> "Iterator[pa.Table | pa.RecordBatch]":
    import pyarrow as pa

    where = repr(file.origin)
    try:
        if file.format == "parquet":
            yield from read_parquet(filesystem, file.path, roles, window)
            return
        with _local(filesystem, file.path) as path:
            if file.format == "csv":
                yield from read_csv(path, source, roles, where, texts, renamed)
            else:
                yield from read_json_lines(path, source, where)
    except SourceError:
        raise
    except (pa.ArrowException, OSError, ValueError, EOFError) as error:
        raise SourceError(f"{where} can't be read as {file.format}: {_first_line(error)}; repair the file") from error


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
