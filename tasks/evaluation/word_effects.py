"""Explain by words: how far the answers move when a word is taken out of a text."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from everfit.tasks.evaluation.scored_rows import ScoredRows
from everfit.tasks.statistics.texts import LONGEST, word_shares, words_of

_TEXTS = 1_000
_FEWEST = 10
"""Number of texts that must have a word: a rarer one may be a person's name."""
_WORDS = 150
_ROWS = 10
_SHOWN = 10
_LITTLE = 0.1
"""Share of the largest change below which a word is not named."""


def word_effects(
    scored: ScoredRows, columns: Sequence[str], seed: int, role: str = "challenger"
) -> dict[str, dict[str, float]]:
    """Return by how much words of free text move a model's answers.

    The model is asked again without the word, whatever the model is: the occlusion of M. D. Zeiler and R. Fergus,
    "Visualizing and understanding convolutional networks" (2014). It holds no words, so they are those of the hold-out.

    Args:
        scored: The hold-out.
        columns: The columns of free text.
        seed: The seed of the sample.
        role: The model.

    Returns:
        By column, the mean change of the score that a word makes, the largest first; of several classes the mean size
        of the changes. Only words that enough texts of the sample have.
    """
    effects: dict[str, dict[str, float]] = {}
    sample = np.sort(np.random.default_rng(seed).permutation(len(scored.truth))[:_TEXTS])
    rows = scored.rows.iloc[sample].reset_index(drop=True)
    for name in columns:
        texts = [str(text)[:LONGEST] for text in rows[name].fillna("").tolist()]
        words = [words_of(text) for text in texts]
        shares, _ = word_shares(words)
        places: dict[str, list[int]] = {
            word: [] for word, count in shares.most_common(_WORDS) if count >= _FEWEST and count < len(texts)
        }
        for place, found in enumerate(words):
            for word in set(found) & places.keys():
                if len(places[word]) < _ROWS:
                    places[word].append(place)
        if not places:
            continue
        chosen = np.array([place for some in places.values() for place in some])
        without = [_without(texts[place], word) for word, some in places.items() for place in some]
        whole = rows.iloc[chosen].reset_index(drop=True)
        whole[name] = pd.array([texts[place] for place in chosen], dtype="str")
        before = scored.scores_of(role, whole)
        after = scored.scores_of(role, whole.assign(**{name: pd.array(without, dtype="str")}))
        moved = np.abs(before - after).mean(axis=1) if before.ndim > 1 else before - after
        ends = np.cumsum([len(some) for some in places.values()])[:-1]
        means = {word: float(part.mean()) for word, part in zip(places, np.split(moved, ends), strict=True)}
        largest = sorted(means.items(), key=lambda item: -abs(item[1]))[:_SHOWN]
        effects[name] = {word: value for word, value in largest if abs(value) > _LITTLE * abs(largest[0][1])}
    return effects


def _without(text: str, word: str) -> str:
    return re.sub(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])", " ", text, flags=re.IGNORECASE)
