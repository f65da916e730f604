"""Read Parquet as Arrow batches of bounded size."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd

from everfit.blocks.spec import ColumnRoles
from everfit.tasks.core.records import Window
from everfit.tasks.sources.chunks import check_columns, rows_at_once, wanted_columns
from everfit.tasks.sources.times import time_filter
from everfit.tasks.storage.times import LATEST, as_times

if TYPE_CHECKING:
    import pyarrow as pa
    from fsspec import AbstractFileSystem


def read_parquet(
    filesystem: "AbstractFileSystem | None", path: str, roles: ColumnRoles, window: Window
) -> "Iterator[pa.RecordBatch]":
    """Read the rows of a window, at most one row group at a time.

    Raises:
        SourceError: If column names occur twice, or there are too many columns.
    """
    import pyarrow as pa
    import pyarrow.dataset as pds

    # Spark and Hive write times as INT96, which Arrow reads in nanoseconds: 9999-12-31 would become 1816.
    form = pds.ParquetFileFormat(read_options=pds.ParquetReadOptions(coerce_int96_timestamp_unit="us"))
    dataset = pds.dataset(path, filesystem=filesystem, format=form, partitioning=None)
    names = dataset.schema.names
    check_columns(names, roles, repr(path))
    inside = time_filter(dataset.schema, roles.event_time, window)
    # Arrow can't filter texts of the type that Polars and DuckDB write; they are filtered once they are plain texts.
    plain = _without_views(dataset.schema)
    for file in dataset.get_fragments(inside):
        # Read row group by row group: a scan of the whole file reads up to a GiB ahead of a slow consumer.
        for group in file.split_by_row_group(inside, dataset.schema):
            batches = group.to_batches(
                schema=dataset.schema,
                columns=wanted_columns(names, roles),
                filter=inside if plain == dataset.schema else None,
                batch_size=min(131_072, rows_at_once(len(names))),
            )
            if plain == dataset.schema:
                yield from batches
                continue
            for batch in batches:
                table = pa.Table.from_batches([batch])
                table = table.cast(_without_views(table.schema))
                yield from (table if inside is None else table.filter(inside)).to_batches()


def _without_views(schema: "pa.Schema") -> "pa.Schema":
    """Return a schema with plain types of text and bytes in place of views."""
    import pyarrow as pa

    plain = {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}
    return pa.schema([field.with_type(plain.get(field.type, field.type)) for field in schema], schema.metadata)


def newest_in_parquet(filesystem: "AbstractFileSystem | None", path: str, event_time: str | None) -> datetime | None:
    """Return the newest known event time by the file's statistics, or None without statistics.

    Where a time says "not known", such as 9999-12-31, all times are read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, filesystem=filesystem) as file:
        names = file.schema_arrow.names
        if event_time not in names or not pa.types.is_timestamp(file.schema_arrow.field(event_time).type):
            return None
        ends = []
        for group in range(file.metadata.num_row_groups):
            row_group = file.metadata.row_group(group)
            column = next(
                row_group.column(index)
                for index in range(row_group.num_columns)
                if row_group.column(index).path_in_schema == event_time
            )
            statistics = column.statistics
            if statistics is None or not statistics.has_min_max:
                return None
            ends.append(pd.Timestamp(statistics.max))
        newest = max(ends, default=None)
        if newest is None:
            return None
        newest = newest.tz_localize("UTC") if newest.tz is None else newest.tz_convert("UTC")
        if newest >= LATEST:
            newest = as_times(file.read([event_time])[event_time].to_pandas()).max()
        return None if pd.isna(newest) else newest.floor("us").to_pydatetime()
