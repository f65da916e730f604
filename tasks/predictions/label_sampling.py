"""Sample rows for labelling: prefer informative rows, and still represent all rows.

Each row has a known probability above zero of being in the sample, so weighting by its inverse gives unbiased totals
(D. G. Horvitz and D. J. Thompson, Journal of the American Statistical Association 47 (1952)). The rows are drawn by
systematic sampling with unequal probabilities in random order (W. G. Madow, Annals of Mathematical Statistics 20
(1949)), which keeps the probabilities and the number of rows exactly. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import DataError

Floats = npt.NDArray[np.float64]

ESTIMATE = "estimate"
"""Reason of rows by whose labels quality is known with the fewest of them."""
RANDOM = "random"
"""Reason of rows that represent all others; by themselves they are an equal-probability sample."""


@dataclass(frozen=True)
class LabelSample:
    """A sample of rows.

    Attributes:
        rows: Positions of the rows, ascending; shape (sample,).
        inclusion: Probability of each row to be in the sample for any reason; shape (sample,).
        reasons: Reason of each row.
    """

    rows: npt.NDArray[np.int64]
    inclusion: Floats
    reasons: list[str]


def draw_sample(
    count: int, weights: Mapping[str, Floats], shares: Mapping[str, float], *, rows: int, seed: int
) -> LabelSample:
    """Draw rows for several reasons at once.

    Args:
        count: Number of rows to draw; all rows if there are fewer.
        weights: For each reason, how informative each row is, not negative; shape (rows,).
        shares: For each reason, its share of the sample; the rest of the sample is random.
        rows: Number of rows.
        seed: Seed of the draw.

    Returns:
        The sample.

    Raises:
        DataError: If the shares leave no random part.
    """
    if sum(shares.values()) >= 1 or min(shares.values(), default=0) < 0:
        raise DataError(f"shares {dict(shares)!r} leave no random part; choose shares that add up to less than 1")
    random = np.random.default_rng(seed)
    if rows <= count:
        return LabelSample(np.arange(rows), np.ones(rows), [RANDOM] * rows)
    parts = _parts(count, weights, shares, rows)
    inclusion = np.clip(np.sum(list(parts.values()), axis=0), 0, 1)
    order = random.permutation(rows)
    ends = np.cumsum(inclusion[order])
    marks = random.random() + np.arange(int(np.ceil(ends[-1])))
    places = np.searchsorted(ends, marks[marks < ends[-1]], side="right")
    chosen = np.sort(order[places])
    names = list(parts)
    # The reason is drawn too, so that all rows have the same probability of being in the random part.
    levels = np.cumsum([parts[name][chosen] for name in names], axis=0)
    drawn = (random.random(len(chosen)) * levels[-1] >= levels).sum(axis=0)
    return LabelSample(chosen, inclusion[chosen], [names[place] for place in drawn])


def _parts(count: int, weights: Mapping[str, Floats], shares: Mapping[str, float], rows: int) -> dict[str, Floats]:
    """Return the probability of each row by reason; a row's sum is at most 1, and all sums add up to `count`."""
    usable = {name: shares[name] for name, values in weights.items() if shares.get(name) and values.sum() > 0}
    base = count * (1 - sum(usable.values())) / rows
    directed = {name: count * share * weights[name] / weights[name].sum() for name, share in usable.items()}
    total = np.sum(list(directed.values()), axis=0) if directed else np.zeros(rows)
    factor = np.ones(rows)
    free = total > 0
    while directed:
        over = free & (base + factor * total > 1 + 1e-12)
        if not over.any():
            break
        # A row is drawn at most once, so its excess goes to the other rows.
        factor[over] = (1 - base) / total[over]
        free &= ~over
        left = count - base * rows - (factor * total)[~free].sum()
        if not free.any() or left <= 0:
            break
        factor[free] = left / total[free].sum()
    return {RANDOM: np.full(rows, base), **{name: factor * values for name, values in directed.items()}}
