"""Open text files, recognise other files by their first bytes, and explain wrong encodings."""

import codecs
from typing import Any

from everfit.blocks.errors import SourceError

HEAD = 1 << 20
"""Number of bytes that are inspected to recognise a file."""

BLOCK = 8 << 20
"""Number of bytes that are read at a time."""

_BINARY_FORMATS = {
    b"PAR1": "Parquet",
    b"%PDF": "PDF",
    b"BZh": "compressed by bzip2",
    b"\xfd7zXZ\x00": "compressed by xz",
    b"\x28\xb5\x2f\xfd": "compressed by zstd",
}
"""Files that are not text, by their first bytes."""


def open_text(path: str) -> Any:
    """Open a local file as a stream of bytes, decompressing gzip whatever the file's name."""
    import pyarrow as pa

    with open(path, "rb") as stream:  # noqa: PTH123
        zipped = stream.read(2) == b"\x1f\x8b"
    return pa.input_stream(path, compression="gzip" if zipped else None)


def head_of(path: str, where: str, encoding: str) -> bytes:
    """Return the first part of a text file.

    Raises:
        SourceError: If the file is empty, or its first bytes show another format.
    """
    with open_text(path) as stream:
        head = bytes(stream.read(HEAD))
    if not head.strip():
        raise SourceError(f"{where} is empty; remove it, or provide a file with a header and rows")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and "16" not in encoding:
        raise SourceError(f"{where} is UTF-16; set source.encoding to utf-16 (`everfit init --encoding utf-16`)")
    for mark, kind in _BINARY_FORMATS.items():
        if head.startswith(mark):
            raise SourceError(
                f"{where} is {kind}, not a text table; provide CSV, JSON lines or Parquet, gzipped or not"
            )
    if head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        raise SourceError(f"{where} is a web page, not a table; check the address of the source")
    if head.startswith(b"version https://git-lfs"):
        raise SourceError(f"{where} is a pointer of Git LFS, not the file itself; run git lfs pull")
    if b"\0" in head and "16" not in encoding and "32" not in encoding:
        raise SourceError(f"{where} contains zero bytes, so it isn't text; provide CSV, JSON lines or Parquet")
    return head


def not_in_encoding(where: str, encoding: str, detail: str) -> str:
    """Return the error message for a text in an unexpected encoding."""
    return (
        f"{where} is not encoded in {encoding} ({detail[:80]}); set source.encoding, such as cp1252 "
        f"(`everfit init --encoding cp1252`)"
    )
