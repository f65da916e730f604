"""The columns along which the loss is concentrated, by the share of the loss that they show."""

import numpy as np
import numpy.typing as npt

from everfit.tasks.core.loss_diagnosis import ColumnShare
from everfit.tasks.diagnosis.encoding import Encoded
from everfit.tasks.diagnosis.labelled_rows import DiagnosisEvidence
from everfit.tasks.diagnosis.slices import excess_losses, half
from everfit.tasks.statistics.holm import holm

Floats = npt.NDArray[np.float64]

_BINS = 8
CONFIDENCE = 0.95


def column_shares(evidence: DiagnosisEvidence, encoded: Encoded, seed: int = 0) -> tuple[ColumnShare, ...]:
    """Return the columns by their share of the loss, the largest first; columns that show none are left out.

    The values that lost most are found on one half of the rows and measured on the other, and the other way round.

    Args:
        evidence: Both sides.
        encoded: Their columns as numbers.
        seed: The seed of the halves.
    """
    from scipy.special import ndtr

    sides = (evidence.reference, evidence.window)
    first = np.concatenate([half(side.days, len(side), seed + place) for place, side in enumerate(sides)])
    excess = excess_losses(evidence)
    total = float(excess.mean())
    if total <= 0:
        return ()
    shares: dict[str, float] = {}
    chances: dict[str, float] = {}
    for place, (column, word) in enumerate(zip(encoded.columns, encoded.words, strict=True)):
        bins = _bins(encoded.values[:, place], is_category=encoded.categories[place] is not None)
        found = [_concentrated(excess, bins, first, total), _concentrated(excess, bins, ~first, total)]
        values = np.concatenate([values for values, _ in found])
        n = len(evidence.reference)
        order = np.concatenate([np.flatnonzero(~first), np.flatnonzero(first)])
        influence = np.empty(len(values))
        influence[order] = values
        share = float(influence.mean()) / total
        errors = [
            side.mean_error(part) * len(part) / len(influence)
            for side, part in zip(sides, (influence[:n], influence[n:]), strict=True)
        ]
        error = float(np.hypot(errors[0], errors[1])) / total
        chance = float(ndtr(-share / error)) if error > 0 else 1.0
        name = column if word is None else f"{column} ({word!r})"
        shares[name], chances[name] = share, chance
    certain = holm(chances, 1 - CONFIDENCE)
    ranked = sorted((name for name in shares if shares[name] > 0), key=lambda name: -shares[name])
    return tuple(ColumnShare(name=name, share=shares[name], certain=certain[name]) for name in ranked)


def _concentrated(
    excess: Floats, bins: npt.NDArray[np.int64], found_on: npt.NDArray[np.bool_], total: float
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Return, of the rows of the other half, the excess beyond the mean where the first half shows more than that."""
    count = int(bins.max()) + 1
    sums = np.bincount(bins[found_on], weights=excess[found_on] - total, minlength=count)
    other = ~found_on
    return np.where(sums[bins[other]] > 0, excess[other] - total, 0.0), other


def _bins(values: Floats, *, is_category: bool) -> npt.NDArray[np.int64]:
    """Return the bin of each value: its category, or its part of the quantiles; missing values have their own."""
    missing = np.isnan(values)
    if is_category or len(np.unique(values[~missing])) <= _BINS:
        known = np.unique(values[~missing])
        places = np.searchsorted(known, values) if known.size else np.zeros(len(values))
    else:
        edges = np.unique(np.quantile(values[~missing], np.linspace(0, 1, _BINS + 1)[1:-1]))
        places = np.searchsorted(edges, values, side="right")
        known = np.arange(len(edges) + 1, dtype=np.float64)
    return np.where(missing, len(known), places).astype(np.int64)
