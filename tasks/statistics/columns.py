"""Convert the columns of a frame to the numbers or codes that their statistics need."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

Kind = Literal["numeric", "categorical", "boolean"]
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(32)
_KIND_OF_VALUES: dict[str, Kind | None] = {
    "boolean": "boolean",
    **dict.fromkeys(("integer", "floating", "mixed-integer-float", "decimal"), "numeric"),
    **dict.fromkeys(("datetime", "datetime64", "date", "time", "timedelta", "timedelta64", "period", "complex")),
}


def kind_of(column: "pd.Series[Any]") -> Kind | None:
    """Return the kind of a column by its type; None for dates, times, durations and complex numbers."""
    types = pd.api.types
    if types.is_object_dtype(column.dtype) or isinstance(column.dtype, pd.StringDtype):
        return _KIND_OF_VALUES.get(types.infer_dtype(column, skipna=True), "categorical")
    if types.is_bool_dtype(column.dtype):
        return "boolean"
    if types.is_numeric_dtype(column.dtype) and not types.is_complex_dtype(column.dtype):
        return "numeric"
    return "categorical" if isinstance(column.dtype, pd.CategoricalDtype) else None


def numbers_of(column: "pd.Series[Any]") -> tuple[Floats, int]:
    """Convert a column to float64, with NaN for missing values.

    Returns:
        The values, of shape (rows,), and the number of rows that hold something other than a number.
    """
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiub":
        return column.to_numpy(dtype=np.float64), 0
    if pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan), 0
    read = pd.to_numeric(column.astype(object), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return read, int((np.isnan(read) & column.notna().to_numpy()).sum())


def codes_of(column: "pd.Series[Any]") -> tuple[Codes, list[str]]:
    """Convert a column to codes of its categories, with -1 for missing values.

    Returns:
        The codes, of shape (rows,), and the distinct names of the categories.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        raw, categories = column.cat.codes.to_numpy(dtype=np.int64), column.cat.categories
    else:
        raw, categories = pd.factorize(column, use_na_sentinel=True)
    labels = [label(value) for value in categories]
    index = {name: position for position, name in enumerate(dict.fromkeys(labels))}
    if len(index) == len(labels):
        return raw.astype(np.int64, copy=False), labels
    positions = np.array([*(index[name] for name in labels), -1], dtype=np.int64)
    return positions[raw], list(index)


def label(value: object) -> str:
    """Return the name of a category: 1.0 has the name of 1, since missing values turn integers into floats."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def count_sorted(ordered: Floats, edges: Floats) -> Codes:
    """Count the ascending values in each cell `[edges[i-1], edges[i])`; shape (edges + 1,)."""
    positions = np.searchsorted(ordered, edges, side="left")
    return np.diff(positions, prepend=0, append=ordered.size).astype(np.int64)


def mix_into(hashes: Hashes, values: Floats | Codes) -> None:
    """Mix one more column into the hashes of the rows, in place; both of shape (rows,)."""
    hashes ^= np.ascontiguousarray(values).view(np.uint64)
    hashes *= _MULTIPLIER
    hashes ^= hashes >> _SHIFT


def sorted_values(values: Floats) -> Floats:
    """Return the finite values, ascending."""
    finite = values[np.isfinite(values)]
    finite.sort()
    return finite


def repeated(hashes: Hashes) -> int:
    """Return the number of rows that have the hash of an earlier row."""
    ordered = np.sort(hashes)
    return int((ordered[1:] == ordered[:-1]).sum())
