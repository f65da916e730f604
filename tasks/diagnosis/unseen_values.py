"""Values that the window has and the hold-out lacks: new categories, and numbers beyond its range."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from everfit.tasks.diagnosis.encoding import OTHER, Encoded
from everfit.tasks.diagnosis.labelled_rows import DiagnosisEvidence, LabelledRows

Chosen = npt.NDArray[np.bool_]

_LEAST_SHARE = 0.01
_EXPECTED = 5
"""A value that the hold-out lacks is news only if it should have this many such rows at the window's rate."""


def unseen_values(evidence: DiagnosisEvidence, encoded: Encoded, most: int = 5) -> tuple[str, ...]:
    """Return the values that the hold-out lacks, those with most of the window's loss first; one sentence each.

    Args:
        evidence: Both sides.
        encoded: Their columns as numbers.
        most: Sentences at most.
    """
    found = [
        _described(evidence, name, chosen) for name, chosen in _new_values(evidence.reference, evidence.window, encoded)
    ]
    return tuple(text for _, text in sorted(found, key=lambda case: -case[0])[:most])


def has_unseen_value(evidence: DiagnosisEvidence, encoded: Encoded) -> Chosen:
    """Return which rows of the window have a value that the hold-out lacks; shape (rows of the window,).

    Args:
        evidence: Both sides.
        encoded: Their columns as numbers.
    """
    return unseen_rows(evidence.reference, evidence.window, encoded)


def unseen_rows(reference: LabelledRows, window: LabelledRows, encoded: Encoded) -> Chosen:
    """Return which rows of the window have a value that the reference lacks; shape (rows of the window,).

    Args:
        reference: Rows of the reference.
        window: Rows of the window.
        encoded: Their columns as numbers.
    """
    found = np.zeros(len(window), dtype=np.bool_)
    for _, chosen in _new_values(reference, window, encoded):
        found |= chosen
    return found


def _new_values(reference: LabelledRows, window: LabelledRows, encoded: Encoded) -> Iterator[tuple[str, Chosen]]:
    """Yield the values that are frequent enough to be news, in words, and which rows of the window have each."""
    n, weights = len(reference), window.counted
    for name, chosen in _values(encoded, n):
        share = float(weights[chosen].sum())
        if share >= _LEAST_SHARE and share * n >= _EXPECTED and not chosen.all():
            yield name, chosen


def _values(encoded: Encoded, n: int) -> Iterator[tuple[str, Chosen]]:
    for place, (column, word, categories) in enumerate(
        zip(encoded.columns, encoded.words, encoded.categories, strict=True)
    ):
        old, new = encoded.values[:n, place], encoded.values[n:, place]
        if word is not None:
            continue
        if np.isnan(new).any() and not np.isnan(old).any():
            yield f"{column} is missing", np.isnan(new)
        if categories is not None:
            there = np.unique(old[~np.isnan(old)])
            for code, name in enumerate(categories):
                if code not in there and name != OTHER:
                    yield f"{column} = {name}", new == code
        elif not np.isnan(old).all():
            low, high = float(np.nanmin(old)), float(np.nanmax(old))
            yield f"{column} < {low:.4g}", new < low
            yield f"{column} > {high:.4g}", new > high


def _described(evidence: DiagnosisEvidence, name: str, chosen: Chosen) -> tuple[float, str]:
    weights, losses = evidence.window.counted, evidence.window.losses
    share = float(weights[chosen].sum())
    loss = float(np.average(losses[chosen], weights=weights[chosen]))
    elsewhere = float(np.average(losses[~chosen], weights=weights[~chosen]))
    text = f"{name} is not in the hold-out: {loss:.3g}, {elsewhere:.3g} elsewhere, {share:.1%} of the rows"
    return share * (loss - elsewhere), text
