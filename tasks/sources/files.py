"""Files as a source: CSV, Parquet and JSON lines; local, on S3 or on the web."""

import hashlib
import shutil
import tempfile
import time
from collections.abc import Iterator
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
from everfit.tasks.sources.chunks import Chunk, dated, in_chunks, to_frame, within
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


@dataclass(frozen=True)
class _File:
    """A file that is to be read."""

    path: str
    format: str
    identity: str
    origin: str


def read_files(source: FilesSource, roles: ColumnRoles, window: Window, marks: FileStates) -> Iterator[Chunk]:
    """Read the files that are new or have changed since they were read.

    A file that was never read is read from its beginning, whatever the window's; its rows are all news.

    Raises:
        SourceError: there is no such file, one can't be read, or one changes while it is read.
    """
    timed = roles.event_time is not None
    with _opened(source) as (filesystem, files):
        for file in files:
            where = repr(file.origin)
            if marks.is_done(file.origin, file.identity, timed=timed):
                continue
            span = window if file.origin in marks.known else Window(until=window.until)
            newest: datetime | None = None
            for table in in_chunks(_tables(filesystem, file, source, roles, span)):
                frame = dated(to_frame(table, roles, where), roles, source.time_format, where)
                if roles.event_time in frame.columns:
                    newest = max(filter(None, [newest, _newest(frame[roles.event_time])]), default=None)
                frame = within(frame, roles, span)
                if len(frame):
                    yield Chunk(file.origin, frame)
            if file.format == "parquet" and timed:  # rows outside the window were not read
                newest = newest_in_parquet(filesystem, file.path, roles.event_time)
            if filesystem is not None and _identity(filesystem.info(file.path)) != file.identity:
                raise SourceError(f"{file.path!r} changed while it was read; run the turn again")
            marks.note(file.origin, file.identity, newest, window.until)


def _newest(times: pd.Series) -> datetime | None:
    newest = times.max()
    return None if pd.isna(newest) else newest.to_pydatetime()


@contextmanager
def _opened(source: FilesSource) -> "Iterator[tuple[AbstractFileSystem | None, list[_File]]]":
    """The files of a source, and the file system that has them; what is on the web is fetched first."""
    if source.path.startswith(("http://", "https://")):
        with tempfile.TemporaryDirectory(prefix="everfit-") as folder:
            yield None, [_fetched(source, Path(folder))]
        return
    filesystem = filesystem_of(source)
    yield filesystem, listed(filesystem, source)


def filesystem_of(source: FilesSource) -> "AbstractFileSystem":
    """The file system under the path, with the credentials that the source names.

    Raises:
        SourceError: there is no such block, or the path's scheme is unknown.
    """
    import fsspec

    scheme, separator, _ = source.path.partition("://")
    if separator and scheme not in {"file", "s3"}:
        raise SourceError(f"source.path {source.path!r}: {scheme!r} is not supported; use a path, s3:// or https://")
    options = s3_options(source.credentials) if scheme == "s3" and separator else {}
    return fsspec.core.url_to_fs(source.path, **options)[0]


def s3_options(block: str | None) -> dict[str, Any]:
    """What s3fs needs to reach a bucket: the credentials of a stored block, or else what the environment tells.

    Raises:
        SourceError: there is no such block.
    """
    # Listings are not cached: a file that has come since must be seen.
    options: dict[str, Any] = {"use_listings_cache": False, "config_kwargs": {"connect_timeout": 10}}
    if block is None:
        return options
    from prefect_aws import AwsCredentials

    try:
        found: Any = AwsCredentials.load(block)
    except ValueError as error:
        raise SourceError(
            f"source.credentials: there is no AwsCredentials block {block!r}; make it in Prefect"
        ) from error
    secret, client = found.aws_secret_access_key, found.aws_client_parameters
    return options | {
        "key": found.aws_access_key_id,
        "secret": secret.get_secret_value() if secret else None,
        "token": found.aws_session_token,
        "client_kwargs": {"region_name": found.region_name},
        "endpoint_url": getattr(client, "endpoint_url", None),
    }


def is_readable(path: str, source: FilesSource) -> bool:
    """Whether the file's name or the spec tells its format."""
    return _format(path, source) is not None


def listed(filesystem: "AbstractFileSystem", source: FilesSource, *, required: bool = True) -> list[_File]:
    """The files that would be read, each as it is now.

    Args:
        filesystem: That has them.
        source: Which.
        required: Whether it is an error that there are none.

    Raises:
        SourceError: they can't be listed, or there are none.
    """
    path = filesystem._strip_protocol(source.path)  # noqa: SLF001 - fsspec has no public way to it
    try:
        if any(character in path for character in "*?["):
            paths = sorted(str(found) for found in filesystem.glob(path))
        elif filesystem.isdir(path):
            paths = sorted(str(found) for found in filesystem.find(path) if is_readable(str(found), source))
        else:
            paths = [path] if filesystem.exists(path) else []
        found = [_File(each, _format_of(each, source), _identity(filesystem.info(each)), each) for each in paths]
    except SourceError:
        raise
    except Exception as error:  # each store's client has errors of its own
        raise SourceError(
            f"source.path {source.path!r} can't be listed: {type(error).__name__}: {_first_line(error)}; "
            f"check the address and the credentials"
        ) from error
    if not found and required:
        raise SourceError(f"source.path {source.path!r}: there is no such file; give a file, a folder or a glob")
    return found


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _identity(info: dict[str, Any]) -> str:
    """What changes when a file's content does."""
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
            f"{path!r}: can't tell its format from the name; set source.format to csv, parquet or jsonl "
            f"(`everfit init --format`)"
        )
    return kind


def _fetched(source: FilesSource, folder: Path) -> _File:
    """Fetch a file of the web; its content's digest is its identity."""
    import httpx

    from everfit.tasks.sources.http import check_address, stream_response

    url = check_address(source.path, source.allowed_hosts)
    name = PurePosixPath(urlsplit(url).path).name or "file"
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
                    raise SourceError(f"{url!r} has more than {source.max_bytes:,} bytes; raise source.max_bytes")
                digest.update(part)
                stream.write(part)
    except httpx.TransportError as error:
        raise SourceError(f"{url!r} broke off in mid-read: {error}; run the turn again") from error
    return _File(str(path), _format_of(name, source), digest.hexdigest(), url)


def _tables(
    filesystem: "AbstractFileSystem | None", file: _File, source: FilesSource, roles: ColumnRoles, window: Window
) -> "Iterator[pa.Table | pa.RecordBatch]":
    import pyarrow as pa

    where = repr(file.origin)
    try:
        if file.format == "parquet":
            yield from read_parquet(filesystem, file.path, roles, window)
            return
        with _local(filesystem, file.path) as path:
            if file.format == "csv":
                yield from read_csv(path, source, roles, where)
            else:
                yield from read_json_lines(path, source, where)
    except SourceError:
        raise
    except (pa.ArrowException, OSError, ValueError, EOFError) as error:
        raise SourceError(f"{where} can't be read as {file.format}: {_first_line(error)}; repair the file") from error


@contextmanager
def _local(filesystem: "AbstractFileSystem | None", path: str) -> Iterator[str]:
    """The file on this machine, where it can be parsed twice."""
    if filesystem is None or "file" in filesystem.protocol:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="everfit-") as folder:
        copy = Path(folder) / PurePosixPath(path).name
        with filesystem.open(path, "rb") as stream, copy.open("wb") as target:
            shutil.copyfileobj(stream, target, 8 << 20)
        yield str(copy)
