"""Files of text: opened, recognised by their first bytes, decoded."""

import codecs
from typing import Any

from everfit.blocks.errors import SourceError

HEAD = 1 << 20
"""How much of a file is looked at to tell what it is."""

BLOCK = 8 << 20
"""How much of a file is read at a time."""

_OTHERS = {
    b"PAR1": "Parquet",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"%PDF": "PDF",
    b"BZh": "packed by bzip2",
    b"\xfd7zXZ\x00": "packed by xz",
    b"\x28\xb5\x2f\xfd": "packed by zstd",
}
"""What is no text, by its first bytes."""


def open_text(path: str) -> Any:
    """A local file as a stream of bytes, gzip undone, whatever its name."""
    import pyarrow as pa

    with open(path, "rb") as stream:  # noqa: PTH123
        zipped = stream.read(2) == b"\x1f\x8b"
    return pa.input_stream(path, compression="gzip" if zipped else None)


def head_of(path: str, where: str, encoding: str) -> bytes:
    """The first part of a file that can be text.

    Raises:
        SourceError: it is empty, or shows by its first bytes that it is something else.
    """
    with open_text(path) as stream:
        head = bytes(stream.read(HEAD))
    if not head.strip():
        raise SourceError(f"{where} is empty; take it away, or give a file with a header and rows")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and "16" not in encoding:
        raise SourceError(f"{where} is UTF-16; set source.encoding to utf-16 (`everfit init --encoding utf-16`)")
    for mark, kind in _OTHERS.items():
        if head.startswith(mark):
            raise SourceError(
                f"{where} is {kind}, not a table of text; give CSV, JSON lines or Parquet, gzipped or not"
            )
    if head.lstrip()[:15].lower().startswith((b"<!doctype html", b"<html")):
        raise SourceError(f"{where} is a page of the web, not a table; check the address that it comes from")
    if b"\0" in head and "16" not in encoding and "32" not in encoding:
        raise SourceError(f"{where} holds zero bytes, so it is no text; give CSV, JSON lines or Parquet")
    return head


def not_in_encoding(where: str, encoding: str, told: str) -> str:
    """What to say of a text that is written in another encoding than it should be."""
    return (
        f"{where} is not {encoding} ({told[:80]}); set source.encoding, such as latin-1 "
        f"(`everfit init --encoding latin-1`)"
    )
