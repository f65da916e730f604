"""Values of a text column that differ only by blanks, letter case or the form of a Unicode letter."""

import unicodedata

import pandas as pd

_MOST_VALUES = 10_000
"""Columns with more values are names or prose."""
_SHOWN = 2


def spelling_notes(frame: pd.DataFrame) -> list[str]:
    """Return a sentence for each column whose values have several spellings, such as `North` and `north `.

    Args:
        frame: Rows of the table.
    """
    notes = []
    for name in frame.columns:
        if not isinstance(frame[name].dtype, pd.StringDtype | pd.CategoricalDtype) and frame[name].dtype != object:
            continue
        counts = frame[name].dropna().map(lambda value: value if isinstance(value, str) else None).value_counts()
        if not 2 <= len(counts) <= _MOST_VALUES:
            continue
        spellings = pd.Series(counts.index, index=counts.index).map(_folded)
        groups = [list(group.index) for _, group in spellings.groupby(spellings) if len(group) > 1]
        if groups:
            shown = ", ".join(" and ".join(repr(value) for value in sorted(group)[:2]) for group in groups[:_SHOWN])
            rows = int(sum(counts[group].sum() - counts[group].max() for group in groups))
            notes.append(
                f"{name!r} has values in several spellings, such as {shown} ({_kind(groups)}). They are taken for "
                f"different values; {rows:,} rows have the rarer spellings. Write them alike in the source, or in "
                "transform_rows."
            )
    return notes


def _folded(value: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", value).split()).casefold()


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
