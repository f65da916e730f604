"""Which files a source has, their formats and their identities, without reading them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import FilesSource
from everfit.tasks.sources.file_names import (
    PACKED,
    format_by_name,
    has_pattern,
    is_hidden,
    is_unread,
    partition_values,
)

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


@dataclass(frozen=True)
class SourceFile:
    """A file to read, with the columns that its folders give."""

    path: str
    format: str
    identity: str
    origin: str
    partitions: Mapping[str, str | int | None] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether it has not one byte, such as the file of a partition without rows."""
        return self.identity.startswith("0:")

    @property
    def is_plain_parquet(self) -> bool:
        """Whether it is Parquet that is read in place."""
        return self.format == "parquet" and PurePosixPath(self.path).suffix.lower() not in PACKED


def is_readable(path: str, source: FilesSource) -> bool:
    """Return whether the format of a file is known from its name or the spec."""
    return (source.format or format_by_name(path)) is not None


def listed_files(filesystem: "AbstractFileSystem", source: FilesSource, *, required: bool = True) -> list[SourceFile]:
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
        files = [
            SourceFile(
                name,
                format_of(name, source),
                _identity(filesystem, name),
                name,
                {} if path == name else partition_values(name, path),
            )
            for name in paths
        ]
    except SourceError:
        raise
    except Exception as error:  # every store's client has its own errors
        raise SourceError(
            f"source.path {source.path!r} can't be listed: {type(error).__name__}: {first_line(error)}; "
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
    if not has_pattern(path):
        return []
    return sorted(name for name in map(str, filesystem.glob(path)) if not is_hidden(name, path))


def unread_files(filesystem: "AbstractFileSystem", source: FilesSource) -> list[str]:
    """Return the files in a source's folder that look like data, and that can't be read."""
    path = filesystem._strip_protocol(source.path)  # noqa: SLF001 - fsspec has no public equivalent
    folder = path if filesystem.isdir(path) else str(PurePosixPath(path).parent)
    if has_pattern(folder) or not filesystem.isdir(folder):
        return []
    names = filesystem.find(folder, maxdepth=None if folder == path else 1)
    return sorted(str(name) for name in names if not is_hidden(str(name), folder) and is_unread(str(name)))


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the name of its type."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _identity(filesystem: "AbstractFileSystem", name: str) -> str:
    try:
        return file_identity(filesystem.info(name))
    except FileNotFoundError as error:
        raise SourceError(f"{name!r} is a link to a file that is gone, or was just removed; remove the link") from error


def file_identity(info: dict[str, Any]) -> str:
    """Return a text that changes whenever the file's content does."""
    tag = info.get("ETag") or info.get("mtime") or info.get("LastModified") or ""
    return f"{info.get('size')}:{tag}"


_SHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")


def format_of(path: str, source: FilesSource) -> str:
    """Return the format of a file, by its name or the spec.

    Raises:
        SourceError: Neither says it.
    """
    kind = source.format or format_by_name(path)
    if kind is None and path.lower().endswith(_SHEETS):
        raise SourceError(f"{path!r} is a spreadsheet; save its sheet as CSV, and give that file")
    if kind is None:
        raise SourceError(
            f"can't tell the format of {path!r} from its name; set source.format to csv, parquet or jsonl "
            f"(`everfit init --format`)"
        )
    return kind
