"""The spans of a batch's keys: the files of the dataset beyond them have no row that could be the same."""

from collections.abc import Sequence

from everfit.tasks.data.staging import Staging
from everfit.tasks.storage.table_scans import Ranges


def key_ranges(staging: Staging, parts: int, key: Sequence[str]) -> Ranges:
    """Return the least and the greatest value of each key column with whole numbers.

    Numbers that grow from row to row, as those of most databases, leave few files to compare with. Other keys may be
    anywhere, and times are left to the days.

    Args:
        staging: Files of the batch.
        parts: Number of its parts.
        key: Columns of the key.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    found: dict[str, tuple[int, int]] = {}
    for name in key:
        columns = [staging.read_part(number, [name])[name] for number in range(parts)]
        if not all(pa.types.is_integer(column.type) for column in columns):
            continue
        bounds = [pc.min_max(column) for column in columns if column.null_count < len(column)]
        if bounds:
            found[name] = min(one["min"].as_py() for one in bounds), max(one["max"].as_py() for one in bounds)
    return found
