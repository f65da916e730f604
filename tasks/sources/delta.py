"""Read another Delta table as a source."""

from collections.abc import Iterator

from everfit.blocks.errors import SourceError
from everfit.blocks.sources import DeltaSource
from everfit.blocks.spec import ColumnRoles
from everfit.tasks.core.records import Window
from everfit.tasks.sources.chunks import (
    Chunk,
    check_columns,
    in_chunks,
    rows_at_once,
    time_filter,
    to_frame,
    wanted_columns,
)
from everfit.tasks.storage.workspace import storage_options


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
        dataset = table.to_pyarrow_dataset()
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
        raise SourceError(f"{where} can't be read: {str(error).splitlines()[0]}; check source.path") from error
