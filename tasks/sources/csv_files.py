"""Read CSV as Arrow batches of bounded size."""

import codecs
import csv
import re
from collections.abc import Collection, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import FilesSource
from everfit.blocks.spec import ColumnRoles
from everfit.tasks.sources.broken_lines import BrokenLines
from everfit.tasks.sources.chunks import check_columns, plain_names, wanted_columns
from everfit.tasks.sources.decimal_commas import columns_with_commas, decimal_point, with_points
from everfit.tasks.sources.encoding import BLOCK, HEAD, head_of, not_in_encoding, open_text

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.csv

_DELIMITERS = ",;\t|"
_LONG = 16
"""Digits of the smallest whole numbers that a float may not hold exactly."""
_EXACT_FLOAT = 2**53  # floats hold whole numbers up to here exactly
_CONVERSION = re.compile(
    r"In CSV column #(\d+): (?:Row #\d+: )?CSV conversion error to ([^:]+): invalid value '(.*)'", re.DOTALL
)
"""Message of Arrow about a value that doesn't fit its column's type; a single thread adds the row's number."""


def read_csv(  # noqa: C901, PLR0917
    path: str,
    source: FilesSource,
    roles: ColumnRoles,
    where: str,
    texts: Collection[str] = (),
    renamed: dict[str, str] | None = None,
    broken: BrokenLines | None = None,
) -> "Iterator[pa.RecordBatch]":
    """Read CSV with the narrowest types that fit the whole file.

    The file is parsed twice, because types inferred from its beginning may not hold to its end. Digits that a number
    doesn't give back, such as `007` or 20 of them, make a column text.

    Args:
        path: A local file.
        source: Encoding, delimiter and missing values.
        roles: Roles of the columns.
        where: Name of the file for error messages.
        texts: Columns that are text, whatever they look like in this file.
        renamed: Takes the names of columns in the file, by those under which they are read.
        broken: Takes the lines of another number of values than the header's; without it such a line is an error.

    Raises:
        SourceError: If the file isn't CSV, or isn't in the encoding that the spec names.
    """
    import pyarrow as pa
    import pyarrow.csv

    header, delimiter, skipped = _header(path, source, where)
    header = plain_names(header, renamed)
    check_columns(header, roles, where)
    if not skipped:  # the header isn't followed by a line
        return
    decimal = decimal_point(head_of(path, where, source.encoding).decode(source.encoding, "replace"), delimiter)
    types: dict[str, pa.DataType] = {name: pa.string() for name in texts if name in header}
    wanted = wanted_columns(header, roles)
    found = BrokenLines()

    def rows(*, threads: bool = True, as_text: Collection[str] = ()) -> "Iterator[pa.RecordBatch]":
        found.clear()
        with open_text(path) as stream:
            yield from pa.csv.open_csv(
                stream,
                read_options=pa.csv.ReadOptions(
                    block_size=BLOCK,
                    encoding=source.encoding,
                    use_threads=threads,
                    column_names=header,
                    skip_rows=skipped,
                ),
                parse_options=pa.csv.ParseOptions(
                    delimiter=delimiter,
                    newlines_in_values=True,
                    invalid_row_handler=None if broken is None else partial(_set_aside, found),
                ),
                convert_options=pa.csv.ConvertOptions(
                    column_types={**types, **dict.fromkeys(as_text, pa.string())},
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
        if _may_have_codes(path, source, delimiter):
            types.update(dict.fromkeys(_codes(rows, roles), pa.string()))
        times = [name for name in (roles.event_time, roles.label_time) if name is not None]
        excepted = {*roles.key, *texts, *times}
        with_commas = columns_with_commas(rows, excepted) if decimal == "," else {}
        read = 0
        # Only a single thread knows the numbers of the lines.
        for batch in rows(threads=not found):
            read += len(batch)
            if binary := [field.name for field in batch.schema if pa.types.is_binary(field.type)]:
                raise SourceError(not_in_encoding(where, source.encoding, f"in column {binary[0]!r}"))
            yield with_points(batch, with_commas)
        if broken is not None and found:
            broken.take(found, read, where)
    except UnicodeError as error:
        raise SourceError(not_in_encoding(where, source.encoding, str(error))) from error
    except pa.ArrowException as error:
        message = str(error).splitlines()[0]
        if "UTF8" in message:
            raise SourceError(not_in_encoding(where, source.encoding, message)) from error
        if "straddling" in message or "block size" in message:
            message = f"a line is longer than {BLOCK >> 20} MiB, or a quotation mark is never closed"
        else:
            message = _with_row_number(rows, message)
        raise SourceError(f"{where} can't be read as CSV: {message}; repair the file") from error


def _set_aside(found: BrokenLines, row: Any) -> str:
    values = "value" if row.actual_columns == 1 else "values"
    found.add(row.number, f"has {row.actual_columns} {values} in place of {row.expected_columns}", row.text)
    return "skip"


def _fits(rows: Any, header: list[str], types: "dict[str, pa.DataType]") -> bool:
    """Read to the end; if a type doesn't hold, widen it in `types` and return False."""
    import pyarrow as pa

    try:
        for _ in rows():
            pass
    except pa.ArrowInvalid as error:
        conversion = _CONVERSION.search(str(error))
        if conversion is None:
            raise
        types[header[int(conversion[1])]] = _wider(conversion[2], conversion[3])
        return False
    return True


def _may_have_codes(path: str, source: FilesSource, delimiter: str) -> bool:
    """Return whether a value may begin with a zero or a plus, or have too many digits for a float."""
    if source.encoding.lower().replace("-", "").replace("_", "") not in {"utf8", "latin1", "ascii", "cp1252"}:
        return True
    tail = b"\n"
    with open_text(path) as stream:
        while block := bytes(stream.read(BLOCK)):
            if _has_code(np.frombuffer(tail + block + b"\n\n\n", dtype=np.uint8), delimiter):
                return True
            tail = block[-20:]
    return False


def _has_code(text: npt.NDArray[np.uint8], delimiter: str) -> bool:
    """Return whether a value in a text begins with a plus, or a zero and a digit, or has 16 digits at once."""
    begins = np.zeros(256, dtype=np.bool_)
    begins[list(b'\r\n"' + delimiter.encode("latin-1", "replace"))] = True
    starts = np.flatnonzero(begins[text[:-3]])  # a value follows; the next block sees the last bytes again
    first, second, third = text[starts + 1], text[starts + 2], text[starts + 3]
    signed = first == ord("-")
    zero, after = np.where(signed, second, first), np.where(signed, third, second)
    if (first == ord("+")).any() or ((zero == ord("0")) & _is_digit(after)).any():
        return True
    others = np.flatnonzero(~_is_digit(text))
    before = text[others[:-1][np.diff(others) > _LONG]]
    return bool((begins[before] | (before == ord("-"))).any())


def _is_digit(text: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    return (text >= ord("0")) & (text <= ord("9"))


def _codes(rows: Any, roles: ColumnRoles) -> list[str]:
    """Return the columns of digits that are codes: a number would not give the same digits back."""
    import pyarrow as pa
    import pyarrow.compute as pc

    timed = {roles.event_time, roles.label_time}
    first = next(iter(rows()), None)
    numeric = {pa.int64(), pa.float64()}
    candidates = (
        [item.name for item in first.schema if item.type in numeric and item.name not in timed] if first else []
    )
    zeros, large, fractions = set(), set(), set()
    for batch in rows(as_text=candidates) if candidates else ():
        for name in candidates:
            column = pc.utf8_trim_whitespace(batch[name])
            if pc.any(pc.match_substring_regex(column, r"^(?:-?0\d+$|\+)")).as_py():
                zeros.add(name)
            digits = pc.match_substring_regex(column, r"^-?\d+$")
            if not pc.all(digits).as_py():
                fractions.add(name)
            elif name not in large and pc.any(pc.greater_equal(pc.utf8_length(column), _LONG)).as_py():
                limit = 2**63 if name in roles.key else _EXACT_FLOAT
                long = column.filter(pc.greater_equal(pc.utf8_length(column), _LONG)).to_pylist()
                if name != roles.target and any(abs(int(text)) >= limit for text in long):
                    large.add(name)
    return [name for name in candidates if name in zeros or (name in large and name not in fractions)]


def _wider(kind: str, value: str) -> "pa.DataType":
    """Return the next wider type that fits a value."""
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


def _with_row_number(rows: Any, message: str) -> str:
    """Return the message of a single-threaded read, which names the row."""
    import pyarrow as pa

    try:
        for _ in rows(threads=False):
            pass
    except pa.ArrowException as error:
        return str(error).splitlines()[0]
    return message


def _header(path: str, source: FilesSource, where: str) -> tuple[list[str], str, int]:
    """Return the column names, the delimiter, and the number of lines to skip; 0 if no row follows the header."""
    head = head_of(path, where, source.encoding)
    try:
        text = codecs.getincrementaldecoder(source.encoding)("strict").decode(head, final=len(head) < HEAD)
    except UnicodeDecodeError as error:
        raise SourceError(not_in_encoding(where, source.encoding, f"at byte {error.start:,}")) from error
    except LookupError as error:
        raise SourceError(f"source.encoding {source.encoding!r} is unknown; write it like utf-8 or latin-1") from error
    text = text.removeprefix("\ufeff")
    blank = text[: len(text) - len(text.lstrip("\r\n"))]
    text = text[len(blank) :]
    ends = [position for position in (text.find("\n"), text.find("\r")) if position >= 0]
    if not ends and len(head) == HEAD:
        raise SourceError(f"{where} has a first line longer than 1 MiB, so it isn't CSV; check source.path")
    line = text[: min(ends, default=len(text))]
    bare = re.sub(r'"[^"]*"', "", line)
    delimiter = source.delimiter or max(_DELIMITERS, key=bare.count)
    names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]
    return (
        [name or f"unnamed_{position}" for position, name in enumerate(names)],
        delimiter,
        1 + len(blank.splitlines()) if ends else 0,
    )
