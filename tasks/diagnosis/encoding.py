"""The columns of both sides as numbers for trees: numbers, the frequent categories, words and lengths of texts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfit.tasks.statistics.columns import codes_of, kind_of, numbers_of
from everfit.tasks.statistics.texts import words_of

Floats = npt.NDArray[np.float64]

MOST_CATEGORIES = 60
"""The most frequent categories of a column; the rest are one."""
MOST_WORDS = 30
"""The words of a text column that most texts have or lack."""
_LEAST_SHARE_OF_WORD, _MOST_SHARE_OF_WORD = 0.02, 0.7
_MOST_TEXTS = 4_000
OTHER = "any other"


@dataclass(frozen=True)
class Encoded:
    """Rows of both sides, those of the reference first.

    Attributes:
        values: Shape (rows, features); missing values are NaN, and categories are codes.
        columns: The column that each feature is from.
        words: For a feature that says whether a text has a word: the word; `length` features have none.
        categories: The names of a categorical feature's codes; None of other features.
        unusable: Columns that can't be encoded, such as dates.
    """

    values: Floats
    columns: tuple[str, ...]
    words: tuple[str | None, ...]
    categories: tuple[tuple[str, ...] | None, ...]
    unusable: tuple[str, ...] = ()

    @property
    def is_categorical(self) -> npt.NDArray[np.bool_]:
        """Whether each feature is of categories; shape (features,)."""
        return np.array([names is not None for names in self.categories])


def encode(reference: pd.DataFrame, window: pd.DataFrame, columns: Sequence[str], texts: Sequence[str] = ()) -> Encoded:
    """Encode rows of both sides together, so that the encoding tells nothing about the side.

    Args:
        reference: Rows of the reference.
        window: Rows of the window.
        columns: The columns, but for texts.
        texts: The columns of free text.
    """
    values: list[Floats] = []
    found: list[tuple[str, str | None, tuple[str, ...] | None]] = []
    unusable: list[str] = []
    for name in columns:
        both = pd.concat([reference[name].astype(object), window[name].astype(object)], ignore_index=True)
        kinds = {kind_of(side[name]) for side in (reference, window) if side[name].notna().any()}
        if not kinds:
            continue
        if None in kinds:
            unusable.append(name)
        elif kinds == {"numeric"}:
            numbers, _ = numbers_of(both)
            values.append(np.where(np.isfinite(numbers), numbers, np.nan))
            found.append((name, None, None))
        else:
            codes, names = _frequent(both)
            values.append(codes)
            found.append((name, None, names))
    for name in texts:
        both = pd.concat([reference[name], window[name]], ignore_index=True)
        for feature, word in _of_text(both):
            values.append(feature)
            found.append((name, word, None))
    matrix = np.column_stack(values) if values else np.empty((len(reference) + len(window), 0))
    return Encoded(
        matrix,
        tuple(name for name, _, _ in found),
        tuple(word for _, word, _ in found),
        tuple(names for _, _, names in found),
        tuple(unusable),
    )


def _frequent(column: "pd.Series[Any]") -> tuple[Floats, tuple[str, ...]]:
    """Return the codes of the frequent categories, by frequency; the rest have one code, and missing ones NaN."""
    codes, names = codes_of(column)
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    order = np.lexsort((np.array(names, dtype=object).astype(str), -counts))
    places = np.full(len(names) + 1, np.nan)
    places[order] = np.minimum(np.arange(len(names)), MOST_CATEGORIES)
    kept = tuple(names[place] for place in order[:MOST_CATEGORIES])
    return places[codes], (*kept, OTHER) if len(names) > MOST_CATEGORIES else kept


def _of_text(column: "pd.Series[Any]") -> list[tuple[Floats, str | None]]:
    present = column.notna().to_numpy()
    texts = [str(text) if known else "" for text, known in zip(column, present, strict=True)]
    has = [set(words_of(text)) for text in texts]
    step = max(1, len(has) // _MOST_TEXTS)
    counts = Counter(word for words in has[::step] for word in words)
    shares = {word: count / len(has[::step]) for word, count in counts.items()}
    common = sorted(
        (word for word, share in shares.items() if _LEAST_SHARE_OF_WORD <= share <= _MOST_SHARE_OF_WORD),
        key=lambda word: (-shares[word], word),
    )[:MOST_WORDS]
    length = np.where(present, np.array([len(text) for text in texts], dtype=np.float64), np.nan)
    return [(length, None), *((np.array([float(word in words) for words in has]), word) for word in common)]
