"""Hashes of rows, the same in every process. Pure."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd


def row_hashes(frame: pd.DataFrame, columns: Sequence[str]) -> npt.NDArray[np.int64]:
    """Hash each row over some columns, the same in every process; shape (rows,).

    Whole numbers hash alike as integers and as floats, and times in any unit. Missing values add nothing, so a new and
    empty column doesn't change a row's hash.
    """
    total = np.zeros(len(frame), dtype=np.uint64)
    for name in sorted(columns):
        # The column's name is part of the hash, so that swapped values of two columns don't cancel out.
        salt = pd.util.hash_array(np.array([name], dtype=object))[0]
        mixed = (_column_hashes(frame[name]) ^ salt) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
        mixed[frame[name].isna().to_numpy()] = 0
        total += mixed
    return total.view(np.int64)


def _column_hashes(column: pd.Series) -> npt.NDArray[np.uint64]:
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        values = column.dt.tz_convert("UTC").dt.as_unit("us").astype("int64").to_numpy()
    elif pd.api.types.is_float_dtype(column.dtype):
        floats = column.to_numpy(dtype=np.float64, na_value=np.nan)
        with np.errstate(invalid="ignore"):
            whole = floats.astype(np.int64)
        # Numbers outside the integers' range, and values that aren't numbers, become one of the range's ends.
        ends = (whole == np.iinfo(np.int64).min) | (whole == np.iinfo(np.int64).max)
        values = np.where((whole == floats) & ~ends, whole, floats.view(np.int64))
        values[np.isnan(floats)] = np.iinfo(np.int64).min  # NaN has many bit patterns, which all mean a missing value
    elif pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_integer_dtype(column.dtype):
        values = column.to_numpy(dtype=np.int64, na_value=np.iinfo(np.int64).min)
    else:
        codes, distinct = pd.factorize(column)  # each text is hashed once
        texts = np.array([*map(str, distinct), ""], dtype=object)
        return pd.util.hash_array(texts, categorize=False)[codes]
    return pd.util.hash_array(values)


def row_keys(frame: pd.DataFrame, key: Sequence[str]) -> npt.NDArray[np.int64]:
    """Hash each row's key, or the whole row without a complete key; shape (rows,)."""
    whole = [name for name in frame.columns if not name.startswith("_")]
    if not key:
        return row_hashes(frame, whole)
    keys = row_hashes(frame, key)
    incomplete = frame[list(key)].isna().any(axis=1).to_numpy()
    if incomplete.any():
        keys[incomplete] = row_hashes(frame[incomplete], whole)
    return keys


def indexed_by_key(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the rows with their keys as the index, without the overflow that `set_index` warns of for far keys.

    Args:
        frame: The rows.
        column: The column of the keys, which stays.
    """
    return frame.set_axis(pd.Index(frame[column].to_numpy()), axis=0)
