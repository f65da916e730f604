"""Read JSON lines as Arrow tables of bounded size."""

import codecs
import io
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import FilesSource
from everfit.tasks.sources.broken_lines import BrokenLines
from everfit.tasks.sources.encoding import BLOCK, head_of, not_in_encoding, open_text

if TYPE_CHECKING:
    import pyarrow as pa

_LONGEST_LINE = 64 << 20


def read_json_lines(
    path: str, source: FilesSource, where: str, broken: BrokenLines | None = None
) -> "Iterator[pa.Table]":
    """Read one JSON object per line, or a list of objects if it is small.

    Args:
        path: A local file.
        source: The encoding.
        where: Name of the file for error messages.
        broken: Takes the lines that are no JSON objects; without it such a line is an error.

    Raises:
        SourceError: If a line isn't a JSON object.
    """
    if head_of(path, where, source.encoding).lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"["):
        yield _json_list(path, where)
        return
    line, read, found = 1, 0, None if broken is None else BrokenLines()
    for block in _blocks(path, where):
        table = _json_block(block, line, source.encoding, where, found)
        read += len(table)
        yield table
        line += block.count(b"\n")
    if broken is not None and found:
        broken.take(found, read, where)


def _blocks(path: str, where: str) -> Iterator[bytes]:
    """Yield the file in blocks that end at a line's end."""
    rest = b""
    with open_text(path) as stream:
        while more := bytes(stream.read(BLOCK)):
            cut = more.rfind(b"\n") + 1
            if cut:
                yield rest + more[:cut]
                rest = more[cut:]
            else:
                rest += more
            if len(rest) > _LONGEST_LINE:
                raise SourceError(f"{where} has a line longer than {_LONGEST_LINE >> 20} MiB; repair the file")
    if rest.strip():
        yield rest


def _json_block(block: bytes, line: int, encoding: str, where: str, broken: BrokenLines | None) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.json

    try:
        content = block if encoding.lower().replace("_", "-") == "utf-8" else block.decode(encoding).encode()
        content = content.removeprefix(codecs.BOM_UTF8)
        return pa.json.read_json(io.BytesIO(content), pa.json.ReadOptions(block_size=max(len(content), 1024)))
    except UnicodeDecodeError as error:
        raise SourceError(not_in_encoding(where, encoding, f"after line {line:,}")) from error
    except pa.ArrowException:
        return _mixed_json(content, line, where, broken)


def _mixed_json(block: bytes, line: int, where: str, broken: BrokenLines | None) -> "pa.Table":
    """Parse lines whose values change their type, and set aside or report a line that isn't an object."""
    import pyarrow as pa

    rows: list[dict[str, Any]] = []
    for number, text in enumerate(block.splitlines(), start=line):
        if not text.strip():
            continue
        row: Any = None
        try:
            row = _parsed(text)
            fault = "" if isinstance(row, dict) else f"holds {type(row).__name__}, not an object"
        except ValueError as error:
            fault = f"is no JSON ({error})"
        if not fault:
            rows.append(row)
        elif broken is None:
            raise SourceError(f"{where}, line {number:,} {fault}; repair the file")
        else:
            broken.add(number, fault, text.decode("utf-8", "replace"))
    return _table(rows, pa)


def _parsed(text: bytes) -> Any:
    """Parse JSON, and also Python's NaN, which is missing, and Infinity, which JSON itself doesn't know.

    Raises:
        ValueError: If it is no JSON.
    """
    import orjson

    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if b"NaN" not in text and b"Infinity" not in text:
            raise
    infinite = float("inf")
    constants = {"NaN": None, "Infinity": infinite, "-Infinity": -infinite}
    return json.loads(text, parse_constant=constants.__getitem__)


def _json_list(path: str, where: str) -> "pa.Table":
    import pyarrow as pa

    with open_text(path) as stream:
        content = bytes(stream.read(_LONGEST_LINE * 4))
    try:
        rows = _parsed(content)
    except ValueError as error:
        raise SourceError(
            f"{where} isn't valid JSON ({error}); write one object per line if the file is large"
        ) from error
    if not all(isinstance(row, dict) for row in rows):
        raise SourceError(f"{where} is a list with items that aren't objects; write one object per row")
    return _table(rows, pa)


def _table(rows: list[dict[str, Any]], pa: Any) -> "pa.Table":
    """Convert rows of Python values to a table; a column of mixed types becomes text."""
    import orjson

    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            columns[name] = pa.array(values)
        except pa.ArrowException:
            columns[name] = pa.array(
                [v if v is None or isinstance(v, str) else orjson.dumps(v).decode() for v in values], pa.string()
            )
    return pa.table(columns)
