"""Fit the columns of a version's predictions to the types of the prediction log."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from everfit.blocks.errors import DataError
from everfit.tasks.storage.panics import panics_as_errors
from everfit.tasks.storage.table_reads import DAY
from everfit.tasks.storage.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

_WIDENING = "widening"
"""Application id of commits that widen a column's type."""

_FEW_A_DAY = 2_000
"""Rows of a file up to which a dictionary of each column's values saves nothing; it costs a writer 70 KB for each."""


def check_types(log: "pa.Schema", rows: "pa.Schema") -> None:
    """Refuse columns whose type the log's column can't take.

    Args:
        log: Schema of the prediction log.
        rows: Schema of the rows to append.

    Raises:
        DataError: If a column has such a type.
    """
    import pyarrow as pa

    def of_one_kind(item: "pa.Field") -> bool:
        index = log.get_field_index(item.name)
        if index < 0:
            return True
        pair = (log.field(index).type, item.type)
        kinds = (_is_text, pa.types.is_list, lambda one: one in {pa.int64(), pa.float64()})
        return pair[0] == pair[1] or any(all(map(kind, pair)) for kind in kinds)

    for item in rows:
        if not of_one_kind(item):
            raise _refused(item.name, log.field(item.name).type, item.type)


def fitted(table: Table, log: "DeltaTable", rows: "pa.Table") -> "tuple[DeltaTable, pa.Table]":
    """Cast rows to the types of the log, and widen the log's integer columns if rows have fractions.

    Args:
        table: The model's prediction log.
        log: The opened table.
        rows: Rows to append.

    Returns:
        The log, reopened if it was changed, and the rows.

    Raises:
        DataError: If a value doesn't fit the log's type for its column.
    """
    import pyarrow as pa

    table_schema = pa.schema(log.schema().to_arrow())
    check_types(table_schema, rows.schema)
    for position, item in enumerate(rows.schema):
        index = table_schema.get_field_index(item.name)
        wanted = item.type if index < 0 else table_schema.field(index).type
        if wanted not in {pa.int64(), pa.float64()} or wanted == item.type:
            continue
        try:
            column = rows.column(position).cast(wanted)
        except pa.ArrowInvalid:
            if wanted == pa.float64():
                raise _refused(item.name, wanted, item.type) from None
            log = _widen(table, log, item.name)
            continue
        rows = rows.set_column(position, item.name, column)
    return log, rows


@panics_as_errors()
def _widen(table: Table, log: "DeltaTable", name: str) -> "DeltaTable":
    """Rewrite the log with an integer column as floats."""
    import pyarrow as pa
    from deltalake import CommitProperties, Transaction, write_deltalake
    from deltalake.exceptions import DeltaError

    version = log.version()
    table_schema = pa.schema(log.schema().to_arrow())
    wanted = table_schema.set(table_schema.get_field_index(name), pa.field(name, pa.float64()))

    refused: list[Exception] = []

    def widened(reading: ThreadPoolExecutor) -> "Iterator[pa.RecordBatch]":
        batches = table.arrow_batches(table_schema.names, version=version)
        # Delta requests the batches on its own runtime's thread, which can't read a table itself.
        while (batch := reading.submit(next, batches, None).result()) is not None:
            try:
                yield batch.cast(wanted)
            except pa.ArrowInvalid as error:  # a float can't hold this integer exactly
                refused.append(error)
                raise

    reading = ThreadPoolExecutor(1)
    try:
        write_deltalake(
            log,
            pa.RecordBatchReader.from_batches(wanted, widened(reading)),
            mode="overwrite",
            schema_mode="overwrite",
            partition_by=[DAY],
            # Overwrite only this version: rows that another process has appended meanwhile would be lost.
            commit_properties=CommitProperties(
                app_transactions=[Transaction(_WIDENING, version + 1)], max_commit_retries=0
            ),
        )
    except DeltaError as error:
        if refused:
            raise _refused(name, pa.int64(), pa.float64()) from error
        raise
    finally:
        reading.shutdown()
    widened_log = table.open()
    table.sync(widened_log.version())
    return widened_log


def misfit(table: Table, types: "Mapping[str, pa.DataType]") -> str:
    """Return why the log can't take a version's columns, or an empty text if it can.

    Args:
        table: The model's prediction log.
        types: Types of the columns that the version would log.
    """
    import pyarrow as pa

    if not table.exists():
        return ""
    try:
        check_types(pa.schema(table.open().schema().to_arrow()), pa.schema(list(types.items())))
    except DataError as error:
        return str(error)
    return ""


def _is_text(one: "pa.DataType") -> bool:
    return str(one) in {"string", "large_string", "string_view"}


def _refused(name: str, wanted: object, given: object) -> DataError:
    return DataError(
        f"column {name!r} of the prediction log is {str(wanted)!r} and can't take {str(given)!r}; "
        f"give a feature another name when its type changes"
    )


def how_to_write(rows: "pa.Table") -> "dict[str, Any]":
    """Return how the files of some rows are written, where that is not the usual way."""
    import pyarrow.compute as pc
    from deltalake import ColumnProperties, WriterProperties

    if rows.num_rows > _FEW_A_DAY * max(1, pc.count_distinct(rows[DAY]).as_py()):
        return {}
    plain = ColumnProperties(dictionary_enabled=False)
    return {"writer_properties": WriterProperties(default_column_properties=plain)}
