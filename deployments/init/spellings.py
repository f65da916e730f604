"""Values of a text column that differ only by blanks, letter case or the form of a Unicode letter."""

import unicodedata

import pandas as pd

from everfit.tasks.storage.values import fold

_MOST_VALUES = 10_000
"""Columns with more values are names or prose."""
_SHOWN = 2


def spelling_notes(frame: pd.DataFrame) -> dict[str, str]:
    """Return a sentence for each column whose values have several spellings, such as `North` and `north `.

    Args:
        frame: Rows of the table.
    """
    notes = {}
    for name in frame.columns:
        if not _has_texts(frame[name]):
            continue
        counts = frame[name].dropna().map(lambda value: value if isinstance(value, str) else None).value_counts()
        if not 2 <= len(counts) <= _MOST_VALUES:
            continue
        spellings = pd.Series(counts.index, index=counts.index).map(fold)
        groups = [list(group.index) for _, group in spellings.groupby(spellings) if len(group) > 1]
        if groups:
            shown = ", ".join(" and ".join(repr(value) for value in sorted(group)[:2]) for group in groups[:_SHOWN])
            rows = int(sum(counts[group].sum() - counts[group].max() for group in groups))
            notes[name] = (
                f"{name!r} has values in several spellings, such as {shown} ({_kind(groups)}). They are taken for "
                f"different values; {rows:,} rows have the rarer spellings. If they mean the same, list the column "
                "under columns.any_spelling, or write them alike in the source."
            )
    return notes


def padded_key_notes(keys: pd.DataFrame) -> dict[str, str]:
    """Return a sentence for each column of the key whose texts have blanks at an end, as databases pad them.

    A column is passed over if some of its values differ by their spelling alone.

    Args:
        keys: The columns of the key.
    """
    notes = {}
    for name in keys.columns:
        values = keys[name].dropna().drop_duplicates() if _has_texts(keys[name]) else pd.Series(dtype="str")
        texts = values.astype("str")
        padded = texts[texts != texts.str.strip()]
        if len(padded) and texts.map(fold).is_unique:
            notes[name] = (
                f"{name!r} has values with blanks at an end, such as {padded.iloc[0]!r}. Labels that lack the blanks "
                "don't find their predictions, unless the column is listed under columns.any_spelling."
            )
    return notes


def _has_texts(column: pd.Series) -> bool:
    return isinstance(column.dtype, pd.StringDtype | pd.CategoricalDtype) or column.dtype == object


def _kind(groups: list[list[str]]) -> str:
    """Return by what the spellings differ, in words."""
    kinds = {
        "blanks": lambda value: " ".join(value.split()),
        "letter case": str.casefold,
        "Unicode form": lambda value: unicodedata.normalize("NFKC", value),
    }
    differ = [
        kind for kind, alike in kinds.items() if any(len(set(map(alike, group))) < len(group) for group in groups)
    ]
    return "they differ by " + (" and ".join(differ) or "blanks, letter case and Unicode form")
