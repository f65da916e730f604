"""Drift of a column of free text: can a classifier tell the window's texts from the reference's, and by what?"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from everfit.blocks.errors import NotEnoughError
from everfit.blocks.monitoring import MonitoringPolicy
from everfit.tasks.core.records import Record
from everfit.tasks.statistics.paired_tests import delong_area
from everfit.tasks.statistics.texts import LONGEST, language_shares, lengths, word_shares, words_of

MOST_TEXTS = 2_000
"""Texts of either side that are compared, which bounds the time to a second or two."""
FEWEST_TEXTS = 200
_CERTAIN = 0.999
_LENGTH_DISTANCE = 0.2
"""Kolmogorov-Smirnov distance of the lengths from which they have drifted."""
_LANGUAGE_CHANGE = 0.1
_NAMED = 5
_FOLDS = 3


class TextDrift(Record):
    """How the texts of a window differ from the reference's."""

    column: str
    auc: float = Field(description="Area under the ROC curve of a classifier of texts; 0.5 when nothing has moved.")
    low: float = Field(description="Lower end of its interval.")
    threshold: float
    drifted: bool
    length: float = Field(description="Median number of characters in the window.")
    reference_length: float
    languages: dict[str, float] = Field(description="Share of each language or script in the window.")
    reference_languages: dict[str, float]
    unseen: dict[str, float] = Field(description="Words that no text of the reference has, with their share of texts.")
    texts: int = Field(description="Texts of the window that were sampled.")
    reference_texts: int
    summary: str


def text_drift(
    reference: "pd.Series[Any]", current: "pd.Series[Any]", policy: MonitoringPolicy, *, seed: int = 0
) -> TextDrift:
    """Compare samples of two sides of a column of free text.

    The texts have drifted when a classifier of hashed words separates them (Lopez-Paz and Oquab, "Revisiting classifier
    two-sample tests", 2017: the area is at or above `monitoring.joint_drift_threshold`, and certainly above 0.5), when
    their lengths have moved, or the share of a language has by a tenth.

    Args:
        reference: Texts of the reference; missing ones are left out.
        current: Texts of the window.
        policy: The threshold.
        seed: The seed of the samples and folds.

    Raises:
        NotEnoughError: There are too few texts.
    """
    old, new = (_sampled(side, seed) for side in (reference, current))
    if min(len(old), len(new)) < FEWEST_TEXTS:
        raise NotEnoughError(
            f"{current.name}: {len(new):,} texts of the window and {len(old):,} of the reference are too few to compare"
        )
    auc, error = _separation(old, new, seed)
    margin = _margin(error)
    moved = auc >= policy.joint_drift_threshold and auc - margin > 0.5
    distance, size = _lengths_moved(old, new)
    languages, before = language_shares(new), language_shares(old)
    changed = _changed_languages(before, languages, len(old), len(new))
    unseen = _unseen_words(old, new)
    reasons = [f"{name} {before.get(name, 0):.0%} to {languages.get(name, 0):.0%} of the texts" for name in changed]
    if distance:
        reasons.append(f"median length {size[0]:,.0f} to {size[1]:,.0f} characters")
    if unseen:
        named = ", ".join(f"{word} ({share:.0%})" for word, share in unseen.items())
        reasons.append(f"words that the reference doesn't have: {named}")
    drifted = moved or distance or bool(changed)
    separated = (
        f"a classifier tells the window's texts from the reference's with an AUC of {auc:.2f} "
        f"({'at or above' if moved else 'below'} {policy.joint_drift_threshold:g}; {len(new):,} and {len(old):,} texts)"
    )
    return TextDrift(
        column=str(current.name),
        auc=auc,
        low=max(0.0, auc - margin),
        threshold=policy.joint_drift_threshold,
        drifted=drifted,
        length=size[1],
        reference_length=size[0],
        languages=languages,
        reference_languages=before,
        unseen=unseen,
        texts=len(new),
        reference_texts=len(old),
        summary=f"{current.name}: {'; '.join([separated, *reasons])}",
    )


def _sampled(side: "pd.Series[Any]", seed: int) -> list[str]:
    texts = side.dropna().astype(str)
    chosen = np.random.default_rng(seed).permutation(len(texts))[:MOST_TEXTS]
    return [text[:LONGEST] for text in texts.iloc[np.sort(chosen)].tolist()]


def _separation(old: Sequence[str], new: Sequence[str], seed: int) -> tuple[float, float]:
    """Return the area under the curve of scores made out of fold, and its standard error."""
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from threadpoolctl import threadpool_limits

    hashed = HashingVectorizer(analyzer=words_of, n_features=2**12, alternate_sign=False, binary=True)
    labels = np.repeat([0.0, 1.0], [len(old), len(new)])
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    with threadpool_limits(1):
        words = hashed.transform([*old, *new])
        scores = cross_val_predict(LogisticRegression(max_iter=300), words, labels, cv=folds, method="predict_proba")[
            :, 1
        ]
    return delong_area(labels, scores)


def _margin(error: float) -> float:
    from scipy.stats import norm

    return float(norm.ppf(_CERTAIN)) * error


def _lengths_moved(old: Sequence[str], new: Sequence[str]) -> tuple[bool, tuple[float, float]]:
    from scipy.stats import ks_2samp

    sides = lengths(old), lengths(new)
    result = ks_2samp(*sides, method="asymp")
    moved = bool(result.statistic >= _LENGTH_DISTANCE and result.pvalue < 1 - _CERTAIN)
    return moved, (float(np.median(sides[0])), float(np.median(sides[1])))


def _changed_languages(before: dict[str, float], now: dict[str, float], old: int, new: int) -> list[str]:
    changed = []
    for name in sorted({*before, *now}):
        share, past = now.get(name, 0.0), before.get(name, 0.0)
        both = (share * new + past * old) / (new + old)
        error = np.sqrt(both * (1 - both) * (1 / new + 1 / old))
        if abs(share - past) >= _LANGUAGE_CHANGE and abs(share - past) > 4 * error:
            changed.append(name)
    return changed


def _unseen_words(old: Sequence[str], new: Sequence[str]) -> dict[str, float]:
    """Return the most frequent words that only the window has, if chance rarely gives them; frequent first.

    A word that is as frequent on both sides is on one side alone with a probability of about (1/2)^k for k texts.
    """
    before, _ = word_shares(map(words_of, old))
    now, texts = word_shares(map(words_of, new))
    fewest = max(10, int(np.ceil(0.01 * texts)))
    shares = {word: count / texts for word, count in now.most_common() if count >= fewest and word not in before}
    return dict(list(shares.items())[:_NAMED])
