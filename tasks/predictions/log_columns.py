"""The columns of the prediction log: what a version's inputs become there, and what has no place in them."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from everfit.blocks.errors import DataError
from everfit.tasks.storage.table_reads import DAY
from everfit.tasks.storage.tables import Table

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable


def check_types(log: "pa.Schema", rows: "pa.Schema") -> None:
    """Refuse columns of a type that the log's column of that name never takes.

    Args:
        log: Of the prediction log.
        rows: That are to go into it.

    Raises:
        DataError: one of them is of such a type.
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
    """Bring rows into the types of the log, and the log into theirs where a whole number must become a fraction.

    Args:
        table: The model's prediction log.
        log: As it was opened.
        rows: That are to go into it.

    Returns:
        The log, opened again if it was changed, and the rows.

    Raises:
        DataError: a value doesn't fit the log's type for its column.
    """
    import pyarrow as pa

    known = pa.schema(log.schema().to_arrow())
    check_types(known, rows.schema)
    for position, item in enumerate(rows.schema):
        index = known.get_field_index(item.name)
        wanted = item.type if index < 0 else known.field(index).type
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


def _widen(table: Table, log: "DeltaTable", name: str) -> "DeltaTable":
    """Write the log again with a column of fractions in place of one of whole numbers."""
    import pyarrow as pa
    from deltalake import CommitProperties, write_deltalake
    from deltalake.exceptions import DeltaError

    version = log.version()
    known = pa.schema(log.schema().to_arrow())
    wanted = known.set(known.get_field_index(name), pa.field(name, pa.float64()))

    refused: list[Exception] = []

    def widened(reading: ThreadPoolExecutor) -> "Iterator[pa.RecordBatch]":
        found = table.arrow_batches(known.names, version=version)
        # Delta asks for these from inside its own runtime, where it can't be asked to read.
        while (batch := reading.submit(next, found, None).result()) is not None:
            try:
                yield batch.cast(wanted)
            except pa.ArrowInvalid as error:  # a whole number that no float holds
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
            # Upon this version or not at all: what another has written meanwhile would be missing.
            commit_properties=CommitProperties(max_commit_retries=0),
        )
    except DeltaError as error:
        if refused:
            raise _refused(name, pa.int64(), pa.float64()) from error
        raise
    finally:
        reading.shutdown()
    return table.open()


def misfit(table: Table, types: "Mapping[str, pa.DataType]") -> str:
    """Why the log has no place for a version's columns; empty where it has.

    Args:
        table: The model's prediction log.
        types: Of the columns that the version would log.
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
