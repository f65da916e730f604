"""Numbers of CSV that are written with a decimal comma, and points between thousands, such as `1.234,56`."""

import csv
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from everfit.tasks.storage.kinds import MOSTLY

if TYPE_CHECKING:
    import pyarrow as pa

_COMMAS = r"-?[1-9]\d{0,2}(?:,\d{3})+"
_POINTS = r"-?[1-9]\d{0,2}(?:\.\d{3})+"
_WITH_COMMA = rf"^\s*(?:-?(?:0|[1-9]\d*),\d+|{_POINTS}(?:,\d+)?)\s*$"
_NUMBER = rf"^\s*(?:-?(?:0|[1-9]\d*)(?:,\d+)?|{_POINTS}(?:,\d+)?)\s*$"


def decimal_point(head: str, delimiter: str) -> str:
    """Return the decimal separator of a file.

    A comma or a point may mark decimals or thousands: `1,234` and `1.234` say nothing by themselves.

    Args:
        head: The beginning of the file, with the header.
        delimiter: Separator of the values.
    """
    lines = head.splitlines()[1:]
    if delimiter == ",":  # only a quoted value has a comma
        lines = [line for line in lines if '"' in line]
    values: set[str] = set()
    try:
        for row in csv.reader(lines, delimiter=delimiter):
            values.update(map(str.strip, row))
    except csv.Error:
        return "."
    commas = any(
        re.fullmatch(rf"{_POINTS},\d+", value)
        or (re.fullmatch(r"-?\d+,\d+", value) and not re.fullmatch(_COMMAS, value))
        for value in values
    )
    points = any(
        re.fullmatch(rf"{_COMMAS}\.\d+", value)
        or (re.fullmatch(r"-?\d+\.\d+", value) and not re.fullmatch(_POINTS, value))
        for value in values
    )
    return "," if commas and not points else "."


def columns_with_commas(rows: Callable[[], "Iterator[pa.RecordBatch]"], excepted: Collection[str]) -> dict[str, bool]:
    """Return the columns of text whose values are nearly all numbers, some with a decimal comma or points.

    Args:
        rows: Reads the file with decimal commas; a column that it can't read as numbers is text.
        excepted: Columns that are no numbers, such as the key.

    Returns:
        Whether all values are numbers, by column.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    counts: dict[str, list[int]] = {}
    for batch in rows():
        for item in batch.schema:
            if not pa.types.is_string(item.type) or item.name in excepted:
                continue
            counted = counts.setdefault(item.name, [0, 0, 0])
            column = batch[item.name]
            for place, pattern in enumerate((_NUMBER, _WITH_COMMA)):
                counted[place] += pc.sum(pc.match_substring_regex(column, pattern)).as_py() or 0
            counted[2] += len(column) - column.null_count
    return {name: good == of for name, (good, commas, of) in counts.items() if commas and good >= MOSTLY * of}


def with_points(batch: "pa.RecordBatch", columns: Mapping[str, bool]) -> "pa.RecordBatch":
    """Return a batch whose numbers have a decimal point and no separator of thousands.

    Args:
        batch: Rows of the file.
        columns: From `columns_with_commas`. A column with other values stays text, so that these are known.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for name, all_numbers in columns.items():
        column = batch[name]
        plain = pc.replace_substring(pc.replace_substring(pc.utf8_trim_whitespace(column), ".", ""), ",", ".")
        good = pc.match_substring_regex(column, _NUMBER)
        values = pc.cast(plain, pa.float64()) if all_numbers else pc.if_else(good, plain, column)
        place = batch.schema.get_field_index(name)
        batch = batch.set_column(place, pa.field(name, values.type), values)
    return batch
