"""What sources give: frames of bounded size, their times in UTC, cut to the window."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import pandas as pd

from everfit.blocks.errors import SourceError
from everfit.blocks.spec import ColumnRoles
from everfit.tasks.core.records import Window

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pds

FAULTS = "_faults"
"""Column of everfit's own: what a row shows by itself to be wrong, in words; empty for most."""

MAX_COLUMNS = 1_000
"""Tables with more columns than this are read only by the columns that the spec names."""

_CELLS, _MOST_ROWS, _FEWEST_ROWS = 20_000_000, 1_000_000, 1_000


@dataclass(frozen=True)
class Chunk:
    """Some rows of a source.

    Attributes:
        origin: The file, table or address that they come from; of two rows with one key, the later origin's counts.
        frame: The rows, with an index from 0.
    """

    origin: str
    frame: pd.DataFrame


def rows_at_once(columns: int) -> int:
    """How many rows of a table are held in memory at a time: about 20 million values."""
    return int(np.clip(_CELLS // max(1, columns), _FEWEST_ROWS, _MOST_ROWS))


def check_columns(found: Sequence[str], roles: ColumnRoles, where: str) -> None:
    """Refuse a table whose columns aren't distinct, or are too many.

    Raises:
        SourceError: a name occurs twice, or there are more than `MAX_COLUMNS` and the spec doesn't say which it wants.
    """
    if (
        twice := [name for name in dict.fromkeys(found) if list(found).count(name) > 1]
        if len(set(found)) < len(found)
        else []
    ):
        raise SourceError(f"{where} has the column {twice[0]!r} twice; give its columns names of their own")
    if len(found) > MAX_COLUMNS and roles.features is None:
        raise SourceError(
            f"{where} has {len(found):,} columns, and everfit takes {MAX_COLUMNS:,} unless told which; "
            f"list those that matter under columns.features"
        )


def wanted_columns(found: Sequence[str], roles: ColumnRoles) -> list[str] | None:
    """The columns to read of a wide table: those that the spec names; None for all."""
    if len(found) <= MAX_COLUMNS:
        return None
    named = set(roles.named())
    return [name for name in found if name in named]


def to_frame(table: "pa.Table", roles: ColumnRoles, where: str) -> pd.DataFrame:
    """An Arrow table as a frame of numbers, texts, times and booleans; what is nested becomes JSON text.

    Raises:
        SourceError: a column holds bytes.
    """
    import pyarrow as pa

    for position, field in enumerate(table.schema):
        column = _plain(table.column(position), field.type, field.name, where)
        if column is not None:
            table = table.set_column(position, pa.field(field.name, column.type), column)
    # A whole number beside a missing one becomes a float, which large identifiers don't fit.
    exact = {name for name in roles.key if name in table.column_names and table.column(name).null_count}
    frame = table.to_pandas()
    for name in exact:
        if pa.types.is_integer(table.schema.field(name).type):
            frame[name] = table.column(name).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return cast("pd.DataFrame", frame)


def _plain(column: "pa.ChunkedArray", kind: "pa.DataType", name: str, where: str) -> "pa.ChunkedArray | None":
    """The column as a plainer type, or None when it is plain already."""
    import orjson
    import pyarrow as pa

    types = pa.types
    plainer: list[tuple[Callable[[Any], bool], Callable[[], pa.ChunkedArray]]] = [
        (types.is_dictionary, lambda: column.cast(kind.value_type)),
        (types.is_decimal, lambda: column.cast(pa.float64())),
        (types.is_date, lambda: column.cast(pa.timestamp("us"))),
        (types.is_time, lambda: column.cast(pa.string())),
        (types.is_duration, lambda: column.cast(pa.int64()).cast(pa.float64())),
    ]
    for is_kind, made in plainer:
        if is_kind(kind):
            return made()
    if types.is_nested(kind):
        texts = [None if value is None else orjson.dumps(value, default=str).decode() for value in column.to_pylist()]
        return pa.chunked_array([pa.array(texts, pa.string())])
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        raise SourceError(f"{where}: column {name!r} holds bytes; leave it out of the source, or make text of it")
    return None


def in_chunks(tables: "Iterable[pa.Table | pa.RecordBatch]") -> "Iterator[pa.Table]":
    """Gather small tables, so that each but the last has about as many rows as are held at once."""
    import pyarrow as pa

    held: list[pa.Table] = []
    for each in tables:
        if each.num_rows == 0:
            continue
        if held and held[-1].schema != each.schema:  # JSON's types may change from line to line
            yield pa.concat_tables(held)
            held = []
        held.append(each if isinstance(each, pa.Table) else pa.Table.from_batches([each]))
        if sum(table.num_rows for table in held) >= rows_at_once(each.num_columns):
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)


def time_filter(schema: "pa.Schema", event_time: str | None, window: Window) -> "pds.Expression | None":
    """The window as a condition that statistics of files can skip by, where the column's type allows it."""
    import pyarrow as pa
    import pyarrow.dataset as pds

    if event_time is None or event_time not in schema.names or not pa.types.is_timestamp(schema.field(event_time).type):
        return None
    zone = schema.field(event_time).type.tz
    until, since = pd.Timestamp(window.until), pd.Timestamp(window.since) if window.since else None
    if zone is None:  # times without a zone are UTC
        until, since = until.tz_convert(None), since.tz_convert(None) if since is not None else None
    condition = pds.field(event_time) < until
    # Rows without a time are let through, so that they are reported and not lost.
    condition = condition if since is None else condition & (pds.field(event_time) >= since)
    return condition | pds.field(event_time).is_null()


def dated(frame: pd.DataFrame, roles: ColumnRoles, time_format: str | None, where: str) -> pd.DataFrame:
    """The rows with times in UTC; one without a required time is reported in `_faults`.

    Raises:
        SourceError: a column of times holds something else.
    """
    faults: dict[int, str] = {}
    for name in filter(None, (roles.event_time, roles.label_time)):
        if name not in frame.columns:
            continue
        times = read_times(frame[name], time_format, f"{where}: {name!r}")
        bad = np.flatnonzero(times.isna() & frame[name].notna())
        for row, value in zip(bad.tolist(), frame[name].iloc[bad].tolist(), strict=True):
            faults[row] = faults.get(row, "") + f"{name}: {str(value)[:60]!r} is not a time; "
        frame[name] = times
    if roles.event_time is not None and roles.event_time in frame.columns:
        for row in np.flatnonzero(frame[roles.event_time].isna()).tolist():
            faults.setdefault(row, f"{roles.event_time}: there is no event time; ")
    if faults:
        frame[FAULTS] = pd.Series(faults, dtype="str").reindex(frame.index, fill_value="")
    return frame


def within(frame: pd.DataFrame, roles: ColumnRoles, window: Window) -> pd.DataFrame:
    """The rows of a window, and those without a time, which are not lost but reported."""
    if roles.event_time is None or roles.event_time not in frame.columns:
        return frame
    times = frame[roles.event_time]
    inside = times < window.until
    if window.since is not None:
        inside &= times >= window.since
    wanted = inside | times.isna()
    return frame if wanted.all() else frame[wanted].reset_index(drop=True)


def read_times(column: pd.Series, time_format: str | None, what: str) -> pd.Series:
    """Times as UTC; those without a zone are taken to be UTC, and single ones that can't be read are missing.

    Raises:
        SourceError: most of the column is no time.
    """
    if isinstance(column.dtype, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_dtype(column.dtype):
        return pd.to_datetime(column, utc=True).dt.as_unit("us")
    if column.isna().all():
        return pd.Series(pd.NaT, index=column.index, dtype="datetime64[us, UTC]")
    try:
        times = _parsed(column, time_format)
    except (ValueError, TypeError, OverflowError) as error:
        raise SourceError(f"{what} is not a time: {str(error).splitlines()[0]}; {_ADVICE}") from error
    unread = times.isna() & column.notna()
    if unread.sum() * 2 > column.notna().sum():
        raise SourceError(f"{what} is not a time, such as {column[unread].tolist()[0]!r}; {_ADVICE}")
    in_microseconds: pd.Series = times.dt.as_unit("us")
    return in_microseconds


_ADVICE = "say how times are written by source.time_format, such as '%d.%m.%Y %H:%M' or epoch_s"


def _parsed(column: pd.Series, time_format: str | None) -> pd.Series:
    if time_format in {"epoch_s", "epoch_ms"}:
        numbers = pd.to_numeric(column, errors="coerce")
        unit: Literal["s", "ms"] = "s" if time_format == "epoch_s" else "ms"
        return pd.to_datetime(numbers, unit=unit, utc=True, errors="coerce")
    if pd.api.types.is_numeric_dtype(column.dtype):
        if time_format is None:
            raise ValueError(f"{column.dropna().tolist()[0]!r} is a number")
        column = column.map(lambda value: f"{value:.0f}", na_action="ignore")
    if pd.api.types.infer_dtype(column, skipna=True) in {"datetime", "date"}:
        return pd.to_datetime(column, utc=True, errors="coerce")
    texts: pd.Series = column.astype("str")
    return pd.to_datetime(texts, format=time_format or "ISO8601", utc=True, errors="coerce")
