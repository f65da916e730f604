"""Choose the files of a table to read, and join what is read of small ones."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import unquote

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset as pds

Ranges = Mapping[str, tuple[int, int]]
"""The least and the greatest value of some columns with whole numbers."""


def within_ranges(added: "pa.Table", ranges: Ranges) -> "pa.Table":
    """Return the files that may have a row within the ranges, by their statistics; without any, a file may."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, (least, greatest) in ranges.items():
        figures = [f"null_count.{name}", f"min.{name}", f"max.{name}"]
        if not set(figures) <= set(added.column_names) or not pa.types.is_integer(added[figures[1]].type):
            continue
        empty, low, high = (added[figure] for figure in figures)
        outside = pc.and_(pc.equal(empty, 0), pc.or_(pc.less(high, least), pc.greater(low, greatest)))
        added = added.filter(pc.invert(outside.fill_null(False)))
    return added


def of_files(dataset: "pds.FileSystemDataset", only: Collection[str] | None) -> "pds.Dataset":
    """Return the part of a dataset that has some files, by their paths in the table; all of it for None."""
    import pyarrow.dataset as pds

    if only is None:
        return dataset
    wanted = {unquote(path) for path in only}
    fragments = [fragment for fragment in dataset.get_fragments() if unquote(fragment.path) in wanted]
    return pds.FileSystemDataset(fragments, dataset.schema, dataset.format, dataset.filesystem)


def chunks_of(batches: "Iterable[pa.RecordBatch]", rows: int) -> "Iterator[pa.Table]":
    """Join consecutive batches into tables of at most this many rows; none is empty."""
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []
    waiting_rows = 0
    for batch in batches:
        if waiting and waiting_rows + batch.num_rows > rows:
            yield pa.Table.from_batches(waiting)
            waiting, waiting_rows = [], 0
        if batch.num_rows:
            waiting.append(batch)
            waiting_rows += batch.num_rows
    if waiting:
        yield pa.Table.from_batches(waiting)


def ordered_by(table: "pa.Table", order: Sequence[str]) -> "list[pa.Table]":
    """Return a table in the order of some columns, in a list, so that whoever converts it can free it meanwhile."""
    import pyarrow as pa
    import pyarrow.compute as pc

    places = pc.sort_indices(table, [(name, "ascending") for name in order]) if order else None
    if places is None or np.array_equal(places, np.arange(len(places))):
        return [table]
    names, columns = table.column_names, table.columns
    del table
    for number, column in enumerate(columns):  # one after the other: a second copy of a wide table may not fit
        columns[number] = column.take(places)
    return [pa.table(columns, names)]
