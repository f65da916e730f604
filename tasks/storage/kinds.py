"""The kind of a column: what its values mean, decided from all pieces of a table.

A piece is what was read at once, such as a file. `infer_kind` gives the kind of each piece, and `common_kind` joins
them. The join depends on the set of kinds alone, so neither the order of the pieces nor their number matters:

| kind | values | joined with | gives |
| --- | --- | --- | --- |
| `empty` | none | any | the other kind |
| `boolean` | true and false | `whole`, `integer`, `decimal` | the other kind |
| `whole` | whole numbers, held as floats | `decimal` | `decimal` |
| `integer` | whole numbers of a key, exact to 64 bits | `decimal` | `decimal` |
| `digits` | texts of whole numbers | `whole`, `integer`, `decimal`, `duration` | the other kind |
| `numeral` | texts of numbers | `whole`, `decimal` | `decimal` |
| `duration` | spans of time, held as seconds | `whole`, `decimal`, `numeral` | `duration` |
| `day` | times that are all midnight | `time` | `time` |
| `folded` | texts whose spelling does not count | none | itself |
| an `Amount` | numbers written with a unit | none | itself |

All other sets of different kinds give `text`. A column of `digits` or `numeral` alone is `text` too, because a typed
source that reports digits as text means text. So the final kinds are all but `digits` and `numeral`. Only the spec
makes a column `folded` (`columns.any_spelling`) or an `Amount` (`columns.numbers`).
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import pandas as pd

from everfit.tasks.storage.times import as_times

if TYPE_CHECKING:
    from everfit.blocks.written_numbers import WrittenNumber

PlainKind = Literal[
    "empty", "boolean", "whole", "integer", "decimal", "digits", "numeral", "duration", "day", "time", "text", "folded"
]


class Amount(str):
    """The kind of numbers that are written with a unit or in another way than programs do; held as `decimal` ones.

    As text it is `amount`, the decimal mark and the unit, such as `amount . $`.
    """

    __slots__ = ()

    @classmethod
    def of(cls, decimal: str, unit: str) -> Self:
        """Return the kind of numbers with a decimal mark and a unit, which may be empty."""
        return cls(f"amount {decimal} {unit}")

    @property
    def decimal(self) -> str:
        """The mark before the decimals."""
        return self[7]

    @property
    def unit(self) -> str:
        """The unit; empty if there is none."""
        return self[9:]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        """Return the schema by which records hold it as text."""
        from pydantic_core import core_schema

        pattern = core_schema.str_schema(pattern=r"^amount [.,] ")
        return core_schema.no_info_after_validator_function(cls, pattern)


Kind = PlainKind | Amount

MOSTLY = 0.95
"""A text column with at least this share of numbers is numeric with some bad rows; so it is with true and false."""

CANONICAL = r"(?:0|-?[1-9]\d{0,14})"
"""Whole numbers that come back the same from a float; `007` and 20 digits don't."""

CANONICAL_INTEGER = r"(?:0|-?[1-9]\d{0,17})"
"""Whole numbers that come back the same from a 64-bit integer."""

NAMES: dict[PlainKind, str] = {
    "empty": "number",
    "boolean": "boolean",
    "whole": "number",
    "integer": "whole number",
    "decimal": "number",
    "digits": "text",
    "numeral": "text",
    "duration": "duration",
    "day": "time",
    "time": "time",
    "text": "text",
    "folded": "text",
}
"""Name of a value of each kind in messages."""

STORED: dict[PlainKind, str] = {
    **dict.fromkeys(("boolean", "whole", "decimal", "duration"), "double"),
    **dict.fromkeys(("digits", "numeral", "text", "folded"), "string"),
    **dict.fromkeys(("day", "time"), "timestamp"),
    "integer": "int64",
    "empty": "null",
}
"""The type that holds the values of each kind."""

_INFERRED: dict[str, Kind] = {
    "boolean": "boolean",
    "integer": "whole",
    "floating": "decimal",
    "mixed-integer-float": "decimal",
    "decimal": "decimal",
    "timedelta": "duration",
    "timedelta64": "duration",
    "datetime": "time",
    "datetime64": "time",
    "date": "time",
}

REWRITTEN: frozenset[Kind] = frozenset({"boolean", "decimal", "duration", "day", "time"})
"""Kinds whose values may have been written in another way than the text that they become."""

TEXTUAL: frozenset[Kind] = frozenset({"text", "folded"})
"""Final kinds of text."""

_EXACT = 2**63


def kind_of_arrow(name: str) -> Kind:
    """Return the kind of a stored column from the name of its Arrow type, if nothing more is known of it."""
    kinds: dict[str, Kind] = {"double": "decimal", "int64": "integer"}
    return "time" if name.startswith("timestamp") else kinds.get(name, "text")


def plain(kind: Kind) -> PlainKind:
    """Return the kind by which values are held and named, once they are read."""
    return "decimal" if isinstance(kind, Amount) else kind


def is_read_as_text(kind: Kind) -> bool:
    """Return whether values are read from untyped sources as they are written, whatever they look like."""
    return kind in TEXTUAL or isinstance(kind, Amount)


def kind_on_record(text: str | None) -> Kind | None:
    """Return the kind that a record has as text, or None if no version knows it."""
    if text is not None and text.startswith("amount "):
        return Amount(text)
    return next((kind for kind in get_args(PlainKind) if kind == text), None)


def kinds_of_spec(any_spelling: Iterable[str], numbers: "Mapping[str, WrittenNumber]") -> dict[str, Kind]:
    """Return the kinds of those columns whose kind the spec decides.

    Args:
        any_spelling: The spec's `columns.any_spelling`.
        numbers: The spec's `columns.numbers`.
    """
    folded: dict[str, Kind] = dict.fromkeys(any_spelling, "folded")
    return folded | {name: Amount.of(written.decimal, written.unit) for name, written in numbers.items()}


def holds(arrow_type: str, kind: Kind) -> bool:
    """Return whether a stored column of an Arrow type holds values of a kind."""
    return STORED[plain(kind)] == STORED[plain(kind_of_arrow(arrow_type))]


def infer_kind(column: pd.Series, *, is_key: bool, is_label: bool) -> Kind:
    """Infer the kind of a piece of a column.

    Args:
        column: Its values; shape (rows,).
        is_key: Whether it is part of the key, so whole numbers stay exact and texts stay texts.
        is_label: Whether it is a target with classes, whose texts stay texts.
    """
    types = pd.api.types
    present = column.dropna()
    if present.empty:
        return "empty"
    if isinstance(column.dtype, pd.StringDtype):
        return _kind_of_text(present, exact=is_key or is_label)
    inferred = _INFERRED.get(types.infer_dtype(present, skipna=True))
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        inferred = "time"
    elif inferred is None and types.is_numeric_dtype(column.dtype):
        inferred = "decimal"
    if inferred is None:
        return _kind_of_text(present, exact=is_key or is_label)
    if inferred == "time":
        return "day" if _are_days(present) else "time"
    if is_key and inferred in {"whole", "decimal"}:
        return _kind_of_key(present, inferred)
    return inferred


def _kind_of_key(present: pd.Series, inferred: Kind) -> Kind:
    """Return `integer` for whole numbers of a key, and `text` for those that 64 bits can't hold."""
    if pd.api.types.is_integer_dtype(present.dtype):
        return "text" if int(present.max()) >= _EXACT else "integer"
    finite = [value for value in present.tolist() if abs(value) != float("inf")]
    if not finite or any(value != int(value) for value in finite):
        return inferred
    return "integer" if all(-_EXACT <= value < _EXACT for value in finite) else "text"


def _are_days(present: pd.Series) -> bool:
    times = as_times(present).dropna()
    return bool(len(times) and (times == times.dt.normalize()).all())


def _kind_of_text(present: pd.Series, *, exact: bool) -> Kind:
    """Infer what texts nearly all are: numbers, with thousands separators or not, or true and false.

    `007` stays text. So does `true` of a source that has types, unless another word among them shows that its column
    was meant to be boolean.
    """
    some = present.iloc[:: max(1, len(present) // 1_000)].astype("str").str.strip()
    if not some.str.contains(r"^-?[\d.,]", regex=True).mean() > MOSTLY / 2:
        return "boolean" if not exact and _are_booleans_but_some(some, present) else "text"
    texts = present.astype("str").str.strip()
    if exact:
        return "digits" if texts.str.fullmatch(CANONICAL_INTEGER).all() else "text"
    if texts.str.match(r"-?0\d|[+-]?\d{16,}$").any():
        return "text"
    grouped = texts.str.fullmatch(r"-?\d{1,3}(,\d{3})+(\.\d+)?")
    plain = pd.to_numeric(texts, errors="coerce").notna()
    share = float((plain | grouped).mean())
    if share < MOSTLY:
        return "text"
    if grouped.any() or share < 1:
        return "decimal"
    return "digits" if texts.str.fullmatch(CANONICAL).all() else "numeral"


def _are_booleans_but_some(some: pd.Series, present: pd.Series) -> bool:
    """Return whether nearly all texts are true or false, and some are another word."""

    def share(texts: pd.Series) -> float:
        return float(texts.str.strip().str.lower().isin(["true", "false"]).mean())

    return share(some) > MOSTLY / 2 and MOSTLY <= share(present.astype("str")) < 1


def common_kind(kinds: Iterable[Kind]) -> Kind:
    """Return the final kind of a column from those of its pieces."""
    distinct = {kind for kind in kinds if kind != "empty"}
    typed = distinct - {"digits", "numeral"}
    if not distinct:
        return "empty"
    if distinct == typed and len(typed) == 1:
        return typed.pop()
    if distinct == {"day", "time"}:
        return "time"
    if "duration" in typed and typed <= {"duration", "whole", "decimal"}:
        return "duration"
    if not typed or typed == {"boolean"} or not typed <= {"boolean", "whole", "integer", "decimal"}:
        return "text"
    exact: Kind = "integer" if "integer" in typed else "whole"
    return exact if distinct <= {"boolean", "digits", exact} else "decimal"
