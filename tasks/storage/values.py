"""Bring values to the kinds of their columns: one meaning of a value, whatever way it came in.

Files, databases, JSON, CSV and people write the same value in many ways. Everything that is hashed, compared or scored
goes through `normalise` first, so equal values are equal. A value that can't be brought to its kind becomes missing,
and `_faults` has the reason. Numbers are held as 64-bit floats, whole numbers of a key as 64-bit integers, durations as
seconds, times in UTC to the microsecond, and the rest is text.
"""

import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.tasks.storage.amounts import read_amount
from everfit.tasks.storage.kinds import CANONICAL_INTEGER, NAMES, Amount, Kind, PlainKind, plain
from everfit.tasks.storage.times import is_time, utc_times, without_sentinels

FAULTS = "_faults"
"""Internal column: the reasons why a row is bad by itself; empty for most rows."""

LARGEST = float(np.finfo(np.float32).max)
"""Largest number that every candidate can compute with: trees hold 32-bit floats, and others square the values."""

Bools = npt.NDArray[np.bool_]

_DTYPES: dict[PlainKind, str] = {
    "empty": "float64",
    "boolean": "float64",
    "whole": "float64",
    "decimal": "float64",
    "duration": "float64",
    "integer": "Int64",
    "text": "str",
    "folded": "str",
    "digits": "str",
    "numeral": "str",
    "day": "datetime64[us, UTC]",
    "time": "datetime64[us, UTC]",
}
_BOOLEANS = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "1.0": 1.0, "0.0": 0.0}


def normalise(frame: pd.DataFrame, kinds: Mapping[str, Kind]) -> pd.DataFrame:
    """Bring each column to its kind; a value that can't be brought there becomes missing, with a reason in `_faults`.

    Args:
        frame: Rows, indexed from 0; columns without a kind are dropped, except `_faults`.
        kinds: Kind of each column by name; columns that the frame lacks become empty.

    Returns:
        The columns of `kinds`, and `_faults`: null for a row without a fault.
    """
    faults = frame[FAULTS].fillna("").to_numpy(dtype=object).copy() if FAULTS in frame.columns else None
    columns: dict[str, pd.Series] = {}
    for name, kind in kinds.items():
        if name not in frame.columns:
            columns[name] = pd.Series(None, index=frame.index, dtype=_DTYPES[plain(kind)])
            continue
        given = frame[name]
        columns[name], bad = to_kind(given, kind)
        if bad.any():
            reasons = np.array([f"{name}: {_reason(value, kind)}; " for value in given[bad].tolist()], dtype=object)
            faults = np.full(len(frame), "", dtype=object) if faults is None else faults
            faults[bad] = faults[bad] + reasons
    reasons_of_rows = pd.NA if faults is None else pd.array(faults, dtype="str")
    columns[FAULTS] = pd.Series(reasons_of_rows, index=frame.index, dtype="str")
    return pd.DataFrame(columns, index=frame.index, copy=False)


def bring_known(frame: pd.DataFrame, kinds: Mapping[str, Kind]) -> pd.DataFrame:
    """Return a frame whose columns of known kind are brought to it; other columns stay, and `_faults` is added.

    Args:
        frame: Rows, indexed from 0.
        kinds: Kinds of columns by name; columns that the frame lacks are ignored.
    """
    brought = normalise(frame, {name: kind for name, kind in kinds.items() if name in frame.columns})
    others = [name for name in frame.columns if name not in brought.columns]
    return pd.concat([frame[others], brought], axis=1) if others else brought


def faulty(frame: pd.DataFrame) -> Bools:
    """Return which rows have a fault; shape (rows,)."""
    if FAULTS not in frame.columns:
        return np.zeros(len(frame), dtype=np.bool_)
    return np.asarray(frame[FAULTS].fillna("") != "", dtype=np.bool_)


def to_kind(column: pd.Series, kind: Kind) -> tuple[pd.Series, Bools]:
    """Return a column brought to a kind, and which of its values can't be brought there; both of shape (rows,)."""
    if kind == "integer":
        return _as_integers(column)
    if kind in {"time", "day"}:
        times = utc_times(column)
        return without_sentinels(times), np.asarray(times.isna() & column.notna())
    if kind in {"text", "digits", "numeral"}:
        return _as_text(column), np.zeros(len(column), dtype=np.bool_)
    if kind == "folded":
        return _as_folded(column), np.zeros(len(column), dtype=np.bool_)
    if isinstance(kind, Amount):
        numbers = _as_amounts(column, kind)
    else:
        numbers = {"boolean": _as_booleans, "duration": _as_seconds}.get(kind, _as_numbers)(column)
    numbers = numbers.where(numbers.abs() <= LARGEST)
    return numbers, np.asarray(numbers.isna() & column.notna())


def _reason(value: object, kind: Kind) -> str:
    shown = repr(str(value)[:60])
    try:
        if isinstance(kind, Amount):
            size = abs(read_amount(str(value), kind))
        else:
            size = abs(float(str(value))) if kind in {"whole", "decimal", "duration", "integer"} else 0.0
    except ValueError:
        size = 0.0
    if np.isinf(size):
        return f"{shown} is not finite"
    if size > LARGEST:
        return f"{shown} is too large to compute with; the largest number is {LARGEST:.1e}"
    return f"{shown} is no {name_of(kind)}"


def name_of(kind: Kind) -> str:
    """Return the name of a value of a kind in messages."""
    return f"number in {kind.unit}" if isinstance(kind, Amount) and kind.unit else NAMES[plain(kind)]


_UNREADABLE = re.compile(
    r"[^;]+?: '[^;]*?' is (?:no (?:number(?: in [^;]+)?|whole number|boolean|duration|time)|not finite|not a time"
    r"|too large to compute with; the largest number is [\de.+]+)(?=;|$)"
)


def lost_values(reasons: str) -> str:
    """Return those of a row's reasons that say that a value could not be read, as `_faults` has them.

    Args:
        reasons: The reasons against a row, with semicolons between them.
    """
    return "".join(f"{reason.strip()}; " for reason in _UNREADABLE.findall(reasons))


def _as_numbers(column: pd.Series) -> pd.Series:
    types = pd.api.types
    if types.is_numeric_dtype(column.dtype):
        return column.astype("float64")
    if is_time(column):
        return pd.Series(np.nan, index=column.index)
    if types.is_timedelta64_dtype(column.dtype):
        return _seconds_of(column)
    values = column
    if not types.is_string_dtype(column.dtype) or column.dtype == object:
        values = column.map(lambda value: float(value) if isinstance(value, bool | np.bool_ | Decimal) else value)
    if types.infer_dtype(values, skipna=True) in {"string", "mixed", "mixed-integer"}:
        values = values.astype("object").map(_cleaned, na_action="ignore")
    return pd.to_numeric(values, errors="coerce").astype("float64")


def _cleaned(value: object) -> object:
    """Return a number's text without thousands separators; `true` and `false` are booleans of an untyped source."""
    if not isinstance(value, str):
        return value if isinstance(value, int | float | np.number) else None
    text = value.strip()
    if text.lower() in {"true", "false"}:
        return float(text.lower() == "true")
    whole, point, fraction = text.partition(".")
    groups = whole.removeprefix("-").split(",")
    if len(groups) > 1 and 1 <= len(groups[0]) <= 3 and all(len(group) == 3 for group in groups[1:]):
        return whole.replace(",", "") + point + fraction
    return text


def _as_amounts(column: pd.Series, kind: Amount) -> pd.Series:
    """Read the texts of a column as numbers with a unit; what arrived as a number is one."""
    if pd.api.types.is_numeric_dtype(column.dtype) or is_time(column):
        return _as_numbers(column)
    is_text = column.map(lambda value: isinstance(value, str)).astype("bool")
    numbers: pd.Series = _as_numbers(column.astype("object").mask(is_text, None).infer_objects())
    read = {text: read_amount(text, kind) for text in column[is_text].unique().tolist()}
    return numbers.mask(is_text, column.map(read.get).astype("float64"))


def _as_booleans(column: pd.Series) -> pd.Series:
    if pd.api.types.is_bool_dtype(column.dtype):
        return column.astype("float64")
    if pd.api.types.is_numeric_dtype(column.dtype):
        numbers = column.astype("float64")
        return numbers.where(numbers.isin([0.0, 1.0]))
    texts = column.map(lambda value: _BOOLEANS.get(str(value).strip().lower(), np.nan), na_action="ignore")
    return texts.astype("float64")


def _seconds_of(spans: pd.Series) -> pd.Series:
    seconds: pd.Series = spans.dt.total_seconds()
    return seconds


def _as_seconds(column: pd.Series) -> pd.Series:
    if column.dtype == object:
        column = column.infer_objects()
    if pd.api.types.is_timedelta64_dtype(column.dtype):
        return _seconds_of(column)
    numbers: pd.Series = _as_numbers(column)
    rest = numbers.isna() & column.notna()
    if rest.any() and not pd.api.types.is_numeric_dtype(column.dtype) and not is_time(column):
        spans = pd.to_timedelta(column[rest].map(str), errors="coerce")
        numbers = numbers.copy()
        numbers[rest] = spans.dt.total_seconds()
    return numbers


def _as_integers(column: pd.Series) -> tuple[pd.Series, Bools]:
    types = pd.api.types
    if types.is_integer_dtype(column.dtype) and not types.is_unsigned_integer_dtype(column.dtype):
        nothing = np.zeros(len(column), dtype=np.bool_)
        return (column.astype("Int64") if column.isna().any() else column.astype("int64")), nothing
    if types.is_float_dtype(column.dtype):
        numbers = column.astype("float64")
        whole = numbers.where((numbers == np.floor(numbers)) & (numbers.abs() < 2**63)).astype("Int64")
    else:
        whole = pd.Series([_integer(value) for value in column.tolist()], index=column.index, dtype="Int64")
    return whole, np.asarray(whole.isna() & column.notna())


def _integer(value: object) -> int | None:
    """Return the whole number that a value is, or None; a text must come back the same from the number."""
    if isinstance(value, str):
        digits = value.strip().removesuffix(".0")
        number = int(digits) if re.fullmatch(CANONICAL_INTEGER, digits) else None
    elif isinstance(value, bool | np.bool_ | int | np.integer):
        number = int(value)
    elif isinstance(value, float | np.floating | Decimal) and abs(float(value)) < 2**63:
        number = int(value) if value == int(value) else None
    else:
        number = None
    return number if number is not None and -(2**63) <= number < 2**63 else None


def _as_text(column: pd.Series) -> pd.Series:
    if pd.api.types.is_string_dtype(column.dtype) and column.dtype != object:
        return column.astype("str")
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype("object")
    return column.map(as_text, na_action="ignore").astype("str")


def _as_folded(column: pd.Series) -> pd.Series:
    texts = _as_text(column)
    spellings = {value: fold(value) for value in texts.dropna().unique().tolist()}
    return texts.map(spellings, na_action="ignore").astype("str")


def fold(text: str) -> str:
    """Return the one spelling of texts that differ only by blanks, letter case or the form of a Unicode letter."""
    while (folded := " ".join(unicodedata.normalize("NFKC", text).casefold().split())) != text:
        text = folded
    return text


def as_text(value: object) -> str:
    """Return a value as text.

    A whole number that arrived as a float or a decimal loses its point, a time at midnight is its day, and other times
    are in ISO 8601.
    """
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, Decimal):
        return str(int(value)) if value == value.to_integral_value() else format(value.normalize(), "f")
    if isinstance(value, datetime):
        at = pd.Timestamp(value)
        at = at.tz_localize("UTC") if at.tz is None else at.tz_convert("UTC")
        return at.date().isoformat() if at == at.normalize() else at.isoformat()
    return str(value)
