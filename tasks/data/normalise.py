"""Give columns the same types in every batch, whatever types a source reports.

Numbers are 64-bit floats, because a whole number or boolean turns into one as soon as a value is missing, which may
happen in any later batch. Whole numbers of a key stay exact, times are UTC, and the rest is text.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.tasks.sources.chunks import FAULTS, read_times

Kind = Literal["number", "integer", "text", "time", "empty", "digits"]
"""Kind of a column's values; `digits` is text of digits alone, which other rows may show to be numbers."""

Bools = npt.NDArray[np.bool_]

MOSTLY = 0.95
"""A text column with at least this share of numbers is numeric with some bad rows."""

_NUMBERS = frozenset({"boolean", "integer", "floating", "mixed-integer-float", "decimal"})

_ARROW: dict[str, Kind] = {"double": "number", "int64": "integer"}


def kind_of_arrow(name: str) -> Kind:
    """Return the kind of a dataset column from the name of its Arrow type."""
    return "time" if name.startswith("timestamp") else _ARROW.get(name, "text")


def infer_kind(column: pd.Series, *, is_key: bool, is_label: bool) -> Kind:
    """Infer the kind of a column on its first appearance.

    Args:
        column: Some of its values; shape (rows,).
        is_key: Whether it is part of the key, so whole numbers stay exact and texts stay texts.
        is_label: Whether it is a target with classes, whose texts stay texts.
    """
    types = pd.api.types
    present = column.dropna()
    if present.empty:
        return "empty"
    if isinstance(column.dtype, pd.StringDtype):
        return "text" if is_key or is_label else _kind_of_text(present)
    inferred = types.infer_dtype(present, skipna=True)
    if isinstance(column.dtype, pd.DatetimeTZDtype) or inferred in {"datetime", "datetime64", "date"}:
        return "time"
    if inferred == "integer" and is_key:
        return "integer"
    if types.is_numeric_dtype(column.dtype) or inferred in _NUMBERS:
        return "number"
    return "text" if is_key or is_label else _kind_of_text(present)


def _kind_of_text(present: pd.Series) -> Kind:
    """Infer numbers from texts that are numbers with thousands separators, or nearly all numbers; `007` stays text."""
    some = present.iloc[:: max(1, len(present) // 1_000)].astype("str").str.strip()
    if not some.str.contains(r"^-?[\d.,]", regex=True).mean() > MOSTLY / 2:
        return "text"
    texts = present.astype("str").str.strip()
    if texts.str.match(r"-?0\d").any():
        return "text"
    grouped = texts.str.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?")
    plain = pd.to_numeric(texts, errors="coerce").notna()
    share = float((plain | grouped).mean())
    if share < MOSTLY:
        return "text"
    # A typed source that reports digits as text means text, unless other rows made it text, which may be in another
    # part of the batch.
    return "number" if grouped.any() or share < 1 else "digits"


def common_kind(kinds: Iterable[Kind]) -> Kind:
    """Return the common kind of a column whose parts have several kinds."""
    distinct = {kind for kind in kinds if kind != "empty"}
    if distinct == {"digits"}:
        return "text"
    if distinct == {"digits", "number"}:
        return "number"
    if len(distinct) <= 1:
        return distinct.pop() if distinct else "empty"
    return "number" if distinct == {"number", "integer"} else "text"


def normalise(frame: pd.DataFrame, kinds: Mapping[str, Kind]) -> pd.DataFrame:
    """Convert each column to its kind; a value that doesn't fit becomes missing and is recorded in `_faults`.

    Args:
        frame: Rows, indexed from 0; columns without a kind are dropped, except `_faults`.
        kinds: Kind of each column by name; columns that the frame lacks become empty.
    """
    faults = frame[FAULTS].fillna("").to_numpy(dtype=object).copy() if FAULTS in frame.columns else None
    columns: dict[str, pd.Series] = {}
    for name, kind in kinds.items():
        if name not in frame.columns:
            columns[name] = pd.Series(None, index=frame.index, dtype=_DTYPES[kind])
            continue
        columns[name], bad = _as_kind(frame[name], kind)
        if bad.any():
            faulty_values = frame[name][bad].map(
                lambda value, name=name, kind=kind: f"{name}: {_shown(value)} is no {kind}; "
            )
            faults = np.full(len(frame), "", dtype=object) if faults is None else faults
            faults[bad] = faults[bad] + faulty_values.to_numpy(dtype=object)
    told_of = pd.NA if faults is None else pd.array(faults, dtype="str")
    columns[FAULTS] = pd.Series(told_of, index=frame.index, dtype="str")
    return pd.DataFrame(columns, index=frame.index, copy=False)


_DTYPES: dict[Kind, str] = {
    "number": "float64",
    "integer": "Int64",
    "text": "str",
    "digits": "str",
    "time": "datetime64[us, UTC]",
    "empty": "float64",
}


def _shown(value: object) -> str:
    return repr(str(value)[:60])


def _as_kind(column: pd.Series, kind: Kind) -> tuple[pd.Series, Bools]:
    """Return the column converted to its kind, and which of its values don't fit."""
    if kind in {"number", "empty"}:
        return _as_numbers(column)
    if kind == "integer":
        return _as_integers(column)
    if kind == "time":
        return _as_times(column)
    return _as_text(column), np.zeros(len(column), dtype=np.bool_)


def _as_numbers(column: pd.Series) -> tuple[pd.Series, Bools]:
    types = pd.api.types
    if types.is_numeric_dtype(column.dtype):
        return column.astype("float64"), np.zeros(len(column), dtype=np.bool_)
    if isinstance(column.dtype, pd.DatetimeTZDtype) or types.is_datetime64_dtype(column.dtype):
        return pd.Series(np.nan, index=column.index), column.notna().to_numpy()
    values = column
    if not types.is_string_dtype(column.dtype) or column.dtype == object:
        values = column.map(lambda value: float(value) if isinstance(value, bool | np.bool_) else value)
    if types.infer_dtype(values, skipna=True) in {"string", "mixed", "mixed-integer"}:
        texts = values.astype("object").map(_cleaned, na_action="ignore")
        numbers = pd.to_numeric(texts, errors="coerce").astype("float64")
    else:
        numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    return numbers, np.asarray(numbers.isna() & column.notna())


def _cleaned(value: object) -> object:
    """Return a number's text without thousands separators; `true` and `false` are booleans of an untyped source."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.lower() in {"true", "false"}:
        return float(text.lower() == "true")
    whole, point, fraction = text.partition(".")
    groups = whole.removeprefix("-").split(",")
    if len(groups) > 1 and 1 <= len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:]):
        return whole.replace(",", "") + point + fraction
    return text


def _as_integers(column: pd.Series) -> tuple[pd.Series, Bools]:
    nothing = np.zeros(len(column), dtype=np.bool_)
    if pd.api.types.is_integer_dtype(column.dtype):
        return (column.astype("Int64") if column.isna().any() else column.astype("int64")), nothing
    if pd.api.types.infer_dtype(column, skipna=True) == "integer":
        return column.astype("Int64"), nothing
    numbers = column if pd.api.types.is_float_dtype(column.dtype) else pd.to_numeric(column, errors="coerce")
    numbers = numbers.astype("float64")
    whole = numbers.where((numbers == np.floor(numbers)) & (numbers.abs() < 2**63))
    return whole.astype("Int64"), np.asarray(whole.isna() & column.notna())


def _as_times(column: pd.Series) -> tuple[pd.Series, Bools]:
    from everfit.blocks.errors import SourceError

    try:
        times = read_times(column, None, str(column.name))
    except SourceError:  # most values are no times: record each of them
        times = pd.to_datetime(column.astype("str"), format="ISO8601", utc=True, errors="coerce").dt.as_unit("us")
    return times, np.asarray(times.isna() & column.notna())


def _as_text(column: pd.Series) -> pd.Series:
    if pd.api.types.is_string_dtype(column.dtype) and column.dtype != object:
        return column.astype("str")
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype("object")
    return column.map(_written, na_action="ignore").astype("str")


def _written(value: object) -> str:
    """Return a value as text; a whole number that arrived as a float loses its decimal point."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return str(value)
