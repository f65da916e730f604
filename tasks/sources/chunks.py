"""Chunks of a source: frames of bounded size, with plain names and types."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from everfit.blocks.errors import SourceError
from everfit.blocks.spec import ColumnRoles

if TYPE_CHECKING:
    import pyarrow as pa

MAX_COLUMNS = 1_000
"""A wider table is read only if the spec names the columns to read."""

_CELLS, _MOST_ROWS, _FEWEST_ROWS = 20_000_000, 1_000_000, 1_000


@dataclass(frozen=True)
class Chunk:
    """Some rows of a source.

    Attributes:
        origin: File, table or address of the rows; the later origin wins if two rows share a key.
        frame: The rows, indexed from 0.
    """

    origin: str
    frame: pd.DataFrame


def rows_at_once(columns: int) -> int:
    """Return the number of rows to hold in memory at a time: about 20 million values."""
    return int(np.clip(_CELLS // max(1, columns), _FEWEST_ROWS, _MOST_ROWS))


def check_columns(names: Sequence[str], roles: ColumnRoles, where: str) -> None:
    """Refuse a table with duplicate column names or too many columns.

    Args:
        names: Columns of the table.
        roles: Roles of the columns.
        where: Name of the table for error messages.

    Raises:
        SourceError: If a name occurs twice, or the table has more than `MAX_COLUMNS` columns and the spec lists no
            features.
    """
    if len(set(names)) < len(names):
        duplicate = next(name for name in names if list(names).count(name) > 1)
        raise SourceError(f"{where} has the column {duplicate!r} twice; give each column its own name")
    if len(names) > MAX_COLUMNS and roles.features is None:
        raise SourceError(
            f"{where} has {len(names):,} columns, more than the {MAX_COLUMNS:,} that everfit reads by default; "
            f"list the ones to use under columns.features"
        )


def plain_names(names: Sequence[str], renamed: dict[str, str] | None = None) -> list[str]:
    """Return names for a table's columns that differ and don't begin with an underscore, as everfit's own columns do.

    `_id` becomes `id`, or `id_2` if the table has an `id` too. A second `id` becomes `id_2`.

    Args:
        names: Names in the table.
        renamed: Takes the names in the table, by the changed ones.
    """
    taken = {name for name in names if not name.startswith("_")}
    plain: list[str] = []
    given = set[str]()
    for position, name in enumerate(names):
        if name.startswith("_") or name in given:
            stem = name.lstrip("_") or f"unnamed_{position}"
            free = (stem, *(f"{stem}_{number}" for number in range(2, len(names) + 2)))
            name = next(one for one in free if one not in taken)  # noqa: PLW2901
            taken.add(name)
        plain.append(name)
        given.add(name)
    if renamed is not None:
        renamed.update((other, own) for own, other in zip(names, plain, strict=True) if own != other)
    return plain


def wanted_columns(names: Sequence[str], roles: ColumnRoles) -> list[str] | None:
    """Return the columns of a wide table that the spec names, or None to read all columns."""
    if len(names) <= MAX_COLUMNS:
        return None
    named = set(roles.named())
    return [name for name in names if name in named]


def to_frame(table: "pa.Table", roles: ColumnRoles, where: str, left_out: dict[str, str] | None = None) -> pd.DataFrame:
    """Convert an Arrow table to a frame of numbers, texts, times, durations and booleans; nested values become JSON.

    Args:
        table: The table.
        roles: Roles of the columns.
        where: Name of the table for error messages.
        left_out: Takes the columns of bytes, which are left out, each with the reason.

    Raises:
        SourceError: If a column that the spec names holds bytes.
    """
    import pyarrow as pa

    table = table.drop_columns(_bytes_columns(table.schema, roles, where, left_out))
    for position, field in enumerate(table.schema):
        column = _plain(table.column(position), field.type, exact=field.name in roles.key)
        if column is not None:
            table = table.set_column(position, pa.field(field.name, column.type), column)
    # pandas turns whole numbers beside a missing one into floats, which can't hold large identifiers.
    exact = {name for name in roles.key if name in table.column_names and table.column(name).null_count}
    frame = table.to_pandas()
    for name in exact:
        if pa.types.is_integer(table.schema.field(name).type):
            frame[name] = table.column(name).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return cast("pd.DataFrame", frame)


def _plain(column: "pa.ChunkedArray", kind: "pa.DataType", *, exact: bool) -> "pa.ChunkedArray | None":
    """Return the column in a plainer type, or None if it is plain already."""
    import orjson
    import pyarrow as pa

    types = pa.types
    plainer: list[tuple[Callable[[Any], bool], Callable[[], pa.ChunkedArray]]] = [
        (types.is_dictionary, lambda: column.cast(kind.value_type)),
        (types.is_decimal, lambda: _exact_decimals(column) if exact else column.cast(pa.float64())),
        (types.is_date, lambda: column.cast(pa.timestamp("us"))),
        (types.is_time, lambda: column.cast(pa.string())),
        (lambda kind: kind == pa.uuid(), lambda: pa.chunked_array([_texts(column.to_pylist())])),
    ]
    for is_kind, convert in plainer:
        if is_kind(kind):
            return convert()
    if types.is_nested(kind):
        texts = [None if value is None else orjson.dumps(value, default=str).decode() for value in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
    return None


def _texts(values: Sequence[object]) -> "pa.Array":
    import pyarrow as pa

    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _bytes_columns(schema: "pa.Schema", roles: ColumnRoles, where: str, left_out: dict[str, str] | None) -> list[str]:
    import pyarrow as pa

    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    names = [item.name for item in schema if any(holds(item.type) for holds in tests)]
    _leave_out(names, roles, where, left_out)
    return names


def without_bytes(frame: pd.DataFrame, roles: ColumnRoles, where: str, left_out: dict[str, str]) -> pd.DataFrame:
    """Return a frame without its columns of bytes, such as the BLOBs of a database.

    Args:
        frame: The rows.
        roles: Roles of the columns.
        where: Name of the table for error messages.
        left_out: Takes these columns, each with the reason.

    Raises:
        SourceError: If a column that the spec names holds bytes.
    """
    names = [name for name in frame.columns if frame[name].dtype == object and _holds_bytes(frame[name])]
    _leave_out(names, roles, where, left_out)
    return frame.drop(columns=names) if names else frame


def _holds_bytes(column: pd.Series) -> bool:
    present = column.dropna()
    return bool(len(present)) and isinstance(present.iloc[0], bytes | bytearray | memoryview)


def _leave_out(names: list[str], roles: ColumnRoles, where: str, left_out: dict[str, str] | None) -> None:
    if named := [name for name in names if name in roles.named()]:
        raise SourceError(f"{where}: column {named[0]!r} holds bytes; convert it to text or numbers in the source")
    if left_out is not None:
        left_out.update((name, "bytes: convert them to text or numbers in the source") for name in names)


def _exact_decimals(column: "pa.ChunkedArray") -> "pa.ChunkedArray":
    """Return whole decimals as integers; other decimals as they are."""
    import pyarrow as pa

    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:  # a fraction, or more than 64 bits
        return column


def in_chunks(tables: "Iterable[pa.Table | pa.RecordBatch]") -> "Iterator[pa.Table]":
    """Concatenate small tables into chunks of about as many rows as fit in memory."""
    import pyarrow as pa

    pending: list[pa.Table] = []
    for table in tables:
        if table.num_rows == 0:
            continue
        if pending and pending[-1].schema != table.schema:  # JSON's types may change from line to line
            yield pa.concat_tables(pending)
            pending = []
        pending.append(table if isinstance(table, pa.Table) else pa.Table.from_batches([table]))
        if sum(part.num_rows for part in pending) >= rows_at_once(table.num_columns):
            yield pa.concat_tables(pending)
            pending = []
    if pending:
        yield pa.concat_tables(pending)
