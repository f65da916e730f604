"""The rows of a model's source in a window of event time, chunk by chunk."""

import logging
from collections.abc import Iterator
from datetime import datetime

import pandas as pd

from everfit.blocks.errors import SpecError
from everfit.tasks.core.records import Window
from everfit.tasks.data.joined_rows import opened_joins
from everfit.tasks.data.transform import Function, transform_chunks
from everfit.tasks.sources import read_source
from everfit.tasks.storage.deleted_keys import DeletedKeys, read_deleted_keys
from everfit.tasks.storage.kinds import is_read_as_text
from everfit.tasks.storage.row_hashes import row_keys
from everfit.tasks.storage.table_schema import read_kinds
from everfit.tasks.storage.values import bring_known
from everfit.tasks.turns.context import Context

logger = logging.getLogger("everfit.sources")


def read_rows(
    context: Context, window: Window, function: Function | None = None, *, joins: bool = True
) -> Iterator[pd.DataFrame]:
    """Read the source's rows whose event time is in a window, and those without a time, which have a fault.

    Args:
        context: The model.
        window: The span of event time to read.
        function: Changes the rows, as it changed those that the model was trained on.
        joins: Whether to join the sources that the spec joins, as of the event.

    Yields:
        Chunks of rows that fit in memory, with the source's columns or those that the function returns, `_faults` if a
        time is missing, and an index from 0.

    Raises:
        SpecError: The model has no event time.
        SourceError: The source can't be read.
        DataError: The function changed the number of rows or lost a column of the spec.
    """
    chunks = _read(context, window)
    if joins and context.spec.joins:
        chunks = joined_chunks(context, chunks, window.since, window.until)
    return chunks if function is None else transform_chunks(context.spec, chunks, function, context.workspace)


def _read(context: Context, window: Window) -> Iterator[pd.DataFrame]:
    event_time = context.spec.columns.event_time
    if event_time is None:
        raise SpecError(f"{context.spec.name}: windows are of event time; name its column under columns.event_time")
    kinds = read_kinds(context.workspace, context.spec.name)
    texts = [name for name, kind in kinds.items() if is_read_as_text(kind)]
    deleted = read_deleted_keys(context.workspace, context.spec.name)
    for chunk in read_source(context.spec.source, context.spec.own_columns, window, strict=False, texts=texts):
        # A source returns a new file whole, also its rows outside the window.
        times = chunk.frame[event_time]
        inside = times < window.until
        if window.since is not None:
            inside &= times >= window.since
        yield without_deleted(context, deleted, chunk.frame[inside | times.isna()].reset_index(drop=True))


def joined_chunks(
    context: Context, chunks: Iterator[pd.DataFrame], first: datetime | None, last: datetime
) -> Iterator[pd.DataFrame]:
    """Yield chunks with the columns that the spec joins, and `_joined` with the version of each joined row.

    Args:
        context: The model.
        chunks: Rows of the model's own source or of a file, indexed from 0.
        first: The first event; None for all before the last.
        last: The last event.

    Raises:
        SourceError: A joined source can't be read or lacks a column, or has a column of the rows.
    """
    with opened_joins(context.spec, first, last, read_kinds(context.workspace, context.spec.name)) as joiner:
        for chunk in chunks:
            yield joiner.join(chunk, versions=True)
        for note in joiner.notes():
            logger.info("%s", note)


def without_deleted(context: Context, deleted: DeletedKeys, rows: pd.DataFrame) -> pd.DataFrame:
    """Leave out the rows whose key was deleted on request.

    Args:
        context: The model.
        deleted: Its deleted keys.
        rows: As they were read; shape (rows, columns).
    """
    key = context.spec.columns.key
    if not deleted.requests or not set(key) <= set(rows.columns):
        return rows
    kinds = read_kinds(context.workspace, context.spec.name)
    brought = bring_known(rows[list(key)], {name: kinds[name] for name in key if name in kinds})
    gone = deleted.among_rows(brought, row_keys(brought, key))
    if gone.any():
        logger.info("%s rows are left out, because the deletion of their key was requested", f"{int(gone.sum()):,}")
    return rows[~gone].reset_index(drop=True)
