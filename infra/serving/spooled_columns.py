"""Take the micro-batches of a segment apart into columns of Arrow.

Arrow's own reader of JSON does it, because while it works requests are answered. The few batches that it can't take,
such as those of which only some have a column, are read value by value.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from everfit.infra.serving.segment import Segment, batch_rows
from everfit.tasks.predictions.prediction_log import arrow_type, columns_as_arrow

if TYPE_CHECKING:
    import pyarrow as pa

_BYTES_AT_ONCE = 2**20
"""Bytes of batches that are taken apart in one call; those read value by value take many times as much memory."""


def spooled_columns(segment: Segment) -> "pa.Table":
    """Return the columns of a segment's micro-batches; one that no batch has stays out.

    Raises:
        ValueError: A value doesn't fit the kind of its column; another error of `spool.UNFIT` may say so too.
    """
    import pyarrow as pa

    pieces = [_piece(some, segment.types) for some in _in_pieces(segment.payloads)]
    return pa.concat_tables(pieces, promote_options="default") if pieces else pa.table({})


def _in_pieces(payloads: Sequence[bytes]) -> Iterator[list[bytes]]:
    waiting: list[bytes] = []
    size = 0
    for payload in payloads:
        waiting.append(payload)
        size += len(payload)
        if size >= _BYTES_AT_ONCE:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting


def _piece(payloads: Sequence[bytes], types: Mapping[str, str]) -> "pa.Table":
    import pyarrow as pa

    try:
        columns = _by_arrow(payloads, types)
    except (pa.ArrowException, OverflowError):  # value by value the error is a clearer one, if there is one
        columns = None
    return columns_as_arrow(_joined(list(map(orjson.loads, payloads)), types), types) if columns is None else columns


def _by_arrow(payloads: Sequence[bytes], types: Mapping[str, str]) -> "pa.Table | None":
    """Return the columns of batches; None if only some of them have one of the columns."""
    import pyarrow as pa
    from pyarrow import json

    wanted = {name: arrow_type(kind) for name, kind in types.items()}
    times = {name for name, kind in types.items() if kind == "datetime"}  # microseconds, as whole numbers
    lists = pa.schema([(name, pa.list_(pa.int64() if name in times else one)) for name, one in wanted.items()])
    content = b"\n".join(payloads)
    read = json.read_json(
        pa.BufferReader(pa.py_buffer(content)),
        json.ReadOptions(use_threads=False, block_size=len(content) + 1),
        json.ParseOptions(explicit_schema=lists, unexpected_field_behavior="error"),
    )
    if any(0 < column.null_count < read.num_rows for column in read.columns):
        return None
    there = [name for name, column in zip(read.column_names, read.columns, strict=True) if not column.null_count]
    values = {name: pa.chunked_array([one.flatten() for one in read[name].chunks]) for name in there}
    return pa.table({name: values[name].cast(wanted[name]) for name in there})


def _joined(batches: Sequence[Mapping[str, Sequence[Any]]], types: Mapping[str, str]) -> dict[str, list[Any]]:
    """Return the columns that some micro-batches have."""
    there = {name for batch in batches for name in batch}
    joined: dict[str, list[Any]] = {name: [] for name in types if name in there}
    for batch in batches:
        for name, values in batch.items():
            joined[name].extend(values)
        for name in joined.keys() - batch.keys():  # such as the joined rows of a model without joins
            joined[name].extend([None] * batch_rows(batch))
    return joined
