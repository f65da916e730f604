"""Read another Delta table as a source."""

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import DeltaSource
from everfit.blocks.spec import ColumnRoles
from everfit.tasks.core.records import Window
from everfit.tasks.sources.chunks import Chunk, check_columns, in_chunks, rows_at_once, to_frame, wanted_columns
from everfit.tasks.sources.times import time_filter
from everfit.tasks.storage.delta_errors import reason_of
from everfit.tasks.storage.workspace import storage_options

if TYPE_CHECKING:
    import pyarrow.dataset as pds
    from deltalake import DeltaTable


def read_delta(
    source: DeltaSource, roles: ColumnRoles, window: Window, left_out: dict[str, str] | None = None
) -> Iterator[Chunk]:
    """Read one version of the table.

    Args:
        source: Path and version.
        roles: Roles of the columns.
        window: Span of event time.
        left_out: Takes the columns that no model can use, each with the reason.

    Raises:
        SourceError: If the table or version doesn't exist or can't be read.
    """
    import pyarrow as pa
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    where = f"Delta table {source.path!r}"
    try:
        table = DeltaTable(source.path, version=source.version, storage_options=storage_options(source.path))
        dataset = _opened(table, roles.event_time)
        check_columns(dataset.schema.names, roles, where)
        scanner = dataset.scanner(
            columns=wanted_columns(dataset.schema.names, roles),
            filter=time_filter(dataset.schema, roles.event_time, window),
            batch_size=min(131_072, rows_at_once(len(dataset.schema.names))),
            batch_readahead=2,
            fragment_readahead=1,
        )
        for rows in in_chunks(scanner.to_batches()):
            yield Chunk(where, to_frame(rows, roles, where, left_out))
    except (DeltaError, pa.ArrowException, OSError) as error:
        raise SourceError(f"{where} can't be read: {reason_of(error)}; check source.path") from error


def _opened(table: "DeltaTable", event_time: str | None) -> "pds.Dataset":
    """Return the table's files as an Arrow dataset, of which a filter by time skips only files known to lie outside.

    Delta says that the times of a file without statistics, beside files with some, are after null, and
    Arrow skips it. Converted tables have such files.
    """
    import pyarrow as pa
    import pyarrow.dataset as pds

    # As in Parquet files: Arrow would read Spark's times in nanoseconds, which 9999-12-31 exceeds.
    dataset = table.to_pyarrow_dataset(parquet_read_options=pds.ParquetReadOptions(coerce_int96_timestamp_unit="us"))
    added = pa.table(table.get_add_actions(flatten=True))
    bounds = [name for name in (f"min.{event_time}", f"max.{event_time}") if name in added.column_names]
    if not bounds:
        return dataset
    ends = zip(*(added[name].to_pylist() for name in bounds), strict=True)
    unknown = {unquote(path) for path, end in zip(added["path"].to_pylist(), ends, strict=True) if None in end}
    fragments = [
        dataset.format.make_fragment(
            fragment.path, filesystem=fragment.filesystem, partition_expression=_partition(fragment)
        )
        if fragment.path in unknown
        else fragment
        for fragment in dataset.get_fragments()
    ]
    return pds.FileSystemDataset(fragments, dataset.schema, dataset.format, dataset.filesystem)


def _partition(fragment: "pds.Fragment") -> "pds.Expression":
    """Return the values of the partition that a file is in, without what is known of its other columns."""
    import pyarrow.dataset as pds

    known = pds.scalar(value=True)
    for name, value in pds.get_partition_keys(fragment.partition_expression).items():
        known &= pds.field(name).is_null() if value is None else pds.field(name) == value
    return known
