"""Read the names of files and folders: the format, whether a file is data, and columns. Pure."""

import itertools
import re
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import unquote

FileFormat = Literal["csv", "parquet", "jsonl", "packed"]
"""The format of a file; `packed` if only its content shows what is compressed in it."""

PACKED = frozenset({".gz", ".gzip", ".zip"})
"""Endings of compressed files that are unpacked."""

_FORMATS: dict[str, FileFormat] = {
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
        ".xlsx",
        ".xls",
        ".ods",
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

_NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"


def format_by_name(path: str) -> FileFormat | None:
    """Return the format that a file's name shows, or None.

    Example:
        >>> format_by_name("a.csv.gz"), format_by_name("a.zip"), format_by_name("a.tar.gz")
        ('csv', 'packed', None)
    """
    suffixes = _suffixes(path)
    inner = [suffix for suffix in suffixes if suffix not in PACKED]
    if inner and inner[-1] in _FORMATS:
        return _FORMATS[inner[-1]]
    return "packed" if suffixes and suffixes[-1] in PACKED and not _UNREAD_FORMATS.intersection(inner[-1:]) else None


def is_unread(path: str) -> bool:
    """Return whether a file's name shows data in a format that everfit doesn't read."""
    inner = [suffix for suffix in _suffixes(path) if suffix not in PACKED]
    return format_by_name(path) is None and bool(_UNREAD_FORMATS.intersection(inner[-1:]))


def _suffixes(path: str) -> list[str]:
    return [suffix.lower() for suffix in PurePosixPath(path).suffixes]


def has_pattern(path: str) -> bool:
    """Return whether a path has a character of globs."""
    return any(character in path for character in "*?[")


def is_hidden(name: str, path: str) -> bool:
    """Return whether a file, or a folder of it, has a name that begins with . or _, unless the path asks for it.

    Such names are no data to Spark and pyarrow: files of a system, of a write in progress, or of a checkpoint.
    """
    asked = PurePosixPath(path).parts
    return any(part[0] in "._" and part not in asked for part in PurePosixPath(name).parts[len(_fixed(path)) :])


def _fixed(path: str) -> tuple[str, ...]:
    """Return the folders of a path before the first glob."""
    return tuple(itertools.takewhile(lambda part: not has_pattern(part), PurePosixPath(path).parts))


def partition_values(name: str, path: str) -> dict[str, str | int | None]:
    """Return the columns that the folders of a file give, as Hive and Spark write them: `country=de/day=3/a.csv`.

    Args:
        name: The file.
        path: The source's folder or glob, whose own folders give no columns.

    Example:
        >>> partition_values("data/country=de/day=3/a.csv", "data")
        {'country': 'de', 'day': 3}
    """
    values: dict[str, str | int | None] = {}
    for part in PurePosixPath(name).parts[len(_fixed(path)) : -1]:
        column, equals, text = part.partition("=")
        if equals and column:
            value = unquote(text)
            is_number = re.fullmatch(r"0|-?[1-9]\d{0,14}", value)
            values[unquote(column)] = None if value in {"", _NO_PARTITION} else int(value) if is_number else value
    return values
