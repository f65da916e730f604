"""Values that the window has and the hold-out lacks: new categories, and numbers beyond its range."""

import numpy as np
import numpy.typing as npt

from everfit.tasks.diagnosis.encoding import OTHER, Encoded
from everfit.tasks.diagnosis.labelled_rows import DiagnosisEvidence

Floats = npt.NDArray[np.float64]

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
    n = len(evidence.reference)
    found: list[tuple[float, str]] = []
    for place, (column, word, categories) in enumerate(
        zip(encoded.columns, encoded.words, encoded.categories, strict=True)
    ):
        if word is not None:
            continue
        old, new = encoded.values[:n, place], encoded.values[n:, place]
        if categories is not None:
            there = np.unique(old[~np.isnan(old)])
            cases = [
                (f"{column} = {name}", new == code)
                for code, name in enumerate(categories)
                if code not in there and name != OTHER
            ]
        elif np.isnan(old).all():
            continue
        else:
            low, high = float(np.nanmin(old)), float(np.nanmax(old))
            cases = [(f"{column} < {low:.4g}", new < low), (f"{column} > {high:.4g}", new > high)]
        if np.isnan(new).any() and not np.isnan(old).any():
            cases.append((f"{column} is missing", np.isnan(new)))
        found += [case for name, chosen in cases if (case := _described(evidence, name, chosen)) is not None]
    return tuple(text for _, text in sorted(found, key=lambda case: -case[0])[:most])


def _described(evidence: DiagnosisEvidence, name: str, chosen: npt.NDArray[np.bool_]) -> tuple[float, str] | None:
    weights, losses = evidence.window.counted, evidence.window.losses
    share = float(weights[chosen].sum())
    if share < _LEAST_SHARE or share * len(evidence.reference) < _EXPECTED or chosen.all():
        return None
    loss = float(np.average(losses[chosen], weights=weights[chosen]))
    elsewhere = float(np.average(losses[~chosen], weights=weights[~chosen]))
    text = f"{name} is not in the hold-out: {loss:.3g}, {elsewhere:.3g} elsewhere, {share:.1%} of the rows"
    return share * (loss - elsewhere), text
