"""CSV and JSON lines, as Arrow tables of bounded size."""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import FilesSource
from everfit.blocks.spec import ColumnRoles
from everfit.tasks.sources.pieces import check_columns, wanted_columns

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.csv

_HEAD = 1 << 20
_BLOCK = 8 << 20
_LONGEST_LINE = 64 << 20
_DELIMITERS = ",;\t|"
_CONVERSION = re.compile(r"In CSV column #(\d+): CSV conversion error to ([^:]+): invalid value '(.*)'", re.DOTALL)


def open_text(path: str) -> Any:
    """A local file as a stream of bytes, gzip undone, whatever its name."""
    import pyarrow as pa

    with open(path, "rb") as stream:  # noqa: PTH123
        zipped = stream.read(2) == b"\x1f\x8b"
    return pa.input_stream(path, compression="gzip" if zipped else None)


def _head(path: str, where: str, encoding: str) -> bytes:
    """The first part of a file that can be text.

    Raises:
        SourceError: it is empty, or shows by its first bytes that it is something else.
    """
    with open_text(path) as stream:
        head = bytes(stream.read(_HEAD))
    if not head.strip():
        raise SourceError(f"{where} is empty; take it away, or give a file with a header and rows")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and "16" not in encoding:
        raise SourceError(f"{where} is UTF-16; set source.encoding to utf-16")
    for mark, kind in ((b"PAR1", "Parquet"), (b"PK\x03\x04", "a zip archive or a spreadsheet"), (b"%PDF", "PDF")):
        if head.startswith(mark):
            raise SourceError(f"{where} is {kind}, not text; set source.format, or give a CSV file")
    if b"\0" in head and "16" not in encoding and "32" not in encoding:
        raise SourceError(f"{where} holds zero bytes, so it is no text; give CSV, JSON lines or Parquet")
    return head


def read_csv(path: str, source: FilesSource, roles: ColumnRoles, where: str) -> "Iterator[pa.RecordBatch]":
    """Read CSV with the narrowest types that fit all of the file.

    The file is parsed twice: types that are told from its beginning may not hold to its end.

    Raises:
        SourceError: it is not CSV, or not in the encoding given.
    """
    import pyarrow as pa
    import pyarrow.csv

    header, delimiter, skipped = _header(path, source, where)
    check_columns(header, roles, where)
    decimal = _decimal_point(path, source, delimiter, where)
    types: dict[str, pa.DataType] = {}
    wanted = wanted_columns(header, roles)

    def rows(*, threads: bool = True) -> "Iterator[pa.RecordBatch]":
        with open_text(path) as stream:
            yield from pa.csv.open_csv(
                stream,
                read_options=pa.csv.ReadOptions(
                    block_size=_BLOCK,
                    encoding=source.encoding,
                    use_threads=threads,
                    column_names=header,
                    skip_rows=skipped,
                ),
                parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                convert_options=pa.csv.ConvertOptions(
                    column_types=types,
                    strings_can_be_null=True,
                    null_values=["", *source.null_values],
                    include_columns=wanted,
                    decimal_point=decimal,
                    timestamp_parsers=[pa.csv.ISO8601],
                ),
            )

    try:
        while not _fits(rows, header, types):
            pass
        for batch in rows():
            if binary := [field.name for field in batch.schema if pa.types.is_binary(field.type)]:
                raise SourceError(_not_in_encoding(where, source.encoding, f"in column {binary[0]!r}"))
            yield batch
    except UnicodeError as error:
        raise SourceError(_not_in_encoding(where, source.encoding, str(error))) from error
    except pa.ArrowException as error:
        told = str(error).splitlines()[0]
        if "UTF8" in told:
            raise SourceError(_not_in_encoding(where, source.encoding, told)) from error
        if "straddling" in told or "block size" in told:
            told = f"a line is longer than {_BLOCK >> 20} MiB, or a quotation mark is never closed"
        else:
            told = _with_row_number(rows, told)
        raise SourceError(f"{where} can't be read as CSV: {told}; mend the file") from error


def _fits(rows: Any, header: list[str], types: "dict[str, pa.DataType]") -> bool:
    """Read to the end; a type that did not hold is made wider, and False is given."""
    import pyarrow as pa

    try:
        for _ in rows():
            pass
    except pa.ArrowInvalid as error:
        found = _CONVERSION.search(str(error))
        if found is None:
            raise
        types[header[int(found[1])]] = _wider(found[2], found[3])
        return False
    return True


def _wider(kind: str, value: str) -> "pa.DataType":
    """The next type that a value fits, after one that it did not."""
    import pyarrow as pa

    if kind == "null" and re.fullmatch(r"\d{4}-\d\d-\d\d([ T].*)?", value):
        return pa.timestamp("ns", tz="UTC") if re.search(r"(Z|[+-]\d\d:?\d\d)$", value[10:]) else pa.timestamp("ns")
    if kind.startswith(("date", "timestamp[s]")):
        return pa.timestamp("ns")
    if kind in {"null", "int64"}:
        if kind == "null" and re.fullmatch(r"-?\d{1,18}", value):
            return pa.int64()
        try:
            float(value)
        except ValueError:
            return pa.string()
        return pa.float64()
    return pa.string()


def _with_row_number(rows: Any, told: str) -> str:
    """The message that one thread gives, which names the row."""
    import pyarrow as pa

    try:
        for _ in rows(threads=False):
            pass
    except pa.ArrowException as error:
        return str(error).splitlines()[0]
    return told


def _not_in_encoding(where: str, encoding: str, told: str) -> str:
    return (
        f"{where} is not {encoding} ({told[:80]}); set source.encoding, such as latin-1 "
        f"(`everfit init --encoding latin-1`)"
    )


def _header(path: str, source: FilesSource, where: str) -> tuple[list[str], str, int]:
    """The names of the columns, what is between them, and how many lines to skip to the first row."""
    head = _head(path, where, source.encoding)
    try:
        text = codecs.getincrementaldecoder(source.encoding)("strict").decode(head, final=len(head) < _HEAD)
    except UnicodeDecodeError as error:
        raise SourceError(_not_in_encoding(where, source.encoding, f"at byte {error.start:,}")) from error
    except LookupError as error:
        raise SourceError(f"source.encoding {source.encoding!r} is unknown; write it like utf-8 or latin-1") from error
    text = text.removeprefix("\ufeff")
    blank = text[: len(text) - len(text.lstrip("\r\n"))]
    text = text[len(blank) :]
    ends = [position for position in (text.find("\n"), text.find("\r")) if position >= 0]
    if not ends and len(head) == _HEAD:
        raise SourceError(f"{where} has a first line longer than 1 MiB, so it is no CSV; check source.path")
    line = text[: min(ends, default=len(text))]
    bare = re.sub(r'"[^"]*"', "", line)
    delimiter = source.delimiter or max(_DELIMITERS, key=bare.count)
    names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]
    return (
        [name or f"unnamed_{position}" for position, name in enumerate(names)],
        delimiter,
        1 + len(blank.splitlines()),
    )


def _decimal_point(path: str, source: FilesSource, delimiter: str, where: str) -> str:
    """Where semicolons part values, numbers are often written with a decimal comma."""
    if delimiter != ";":
        return "."
    body = _head(path, where, source.encoding).split(b"\n", 1)[-1]
    return "," if re.search(rb"\d,\d", body) and not re.search(rb"(^|;)-?\d+\.\d+(;|\r?\n)", body) else "."


def read_json_lines(path: str, source: FilesSource, where: str) -> "Iterator[pa.Table]":
    """Read one JSON object a line; a list of objects is read as well, if it is not large.

    Raises:
        SourceError: a line is no JSON object.
    """
    if _head(path, where, source.encoding).lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"["):
        yield _json_list(path, where)
        return
    line = 1
    for block in _blocks(path, where):
        yield _json_block(block, line, source.encoding, where)
        line += block.count(b"\n")


def _blocks(path: str, where: str) -> Iterator[bytes]:
    """The file in pieces that end where a line ends."""
    rest = b""
    with open_text(path) as stream:
        while more := bytes(stream.read(_BLOCK)):
            cut = more.rfind(b"\n") + 1
            if cut:
                yield rest + more[:cut]
                rest = more[cut:]
            else:
                rest += more
            if len(rest) > _LONGEST_LINE:
                raise SourceError(f"{where} has a line longer than {_LONGEST_LINE >> 20} MiB; mend the file")
    if rest.strip():
        yield rest


def _json_block(block: bytes, line: int, encoding: str, where: str) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.json

    try:
        content = block if encoding.lower().replace("_", "-") == "utf-8" else block.decode(encoding).encode()
        content = content.removeprefix(codecs.BOM_UTF8)
        return pa.json.read_json(io.BytesIO(content), pa.json.ReadOptions(block_size=max(len(content), 1024)))
    except UnicodeDecodeError as error:
        raise SourceError(_not_in_encoding(where, encoding, f"after line {line:,}")) from error
    except pa.ArrowException:
        return _mixed_json(content, line, where)


def _mixed_json(block: bytes, line: int, where: str) -> "pa.Table":
    """Lines whose values change their type, by way of Python; the mistake of one that is no object is told."""
    import orjson
    import pyarrow as pa

    rows: list[dict[str, Any]] = []
    for number, text in enumerate(block.splitlines(), start=line):
        if not text.strip():
            continue
        try:
            row = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise SourceError(f"{where}, line {number:,}: {error}; mend the file") from error
        if not isinstance(row, dict):
            raise SourceError(f"{where}, line {number:,} holds {type(row).__name__}, not an object; mend the file")
        rows.append(row)
    return _table(rows, pa)


def _json_list(path: str, where: str) -> "pa.Table":
    import orjson
    import pyarrow as pa

    with open_text(path) as stream:
        content = bytes(stream.read(_LONGEST_LINE * 4))
    try:
        rows = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise SourceError(f"{where} is no JSON ({error}); give one object a line when it is large") from error
    if not all(isinstance(row, dict) for row in rows):
        raise SourceError(f"{where} is a list of things that are not all objects; give one object a row")
    return _table(rows, pa)


def _table(rows: list[dict[str, Any]], pa: Any) -> "pa.Table":
    """Rows of Python values as a table; a column whose values are of several types becomes text."""
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
