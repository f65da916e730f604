"""Which rows to look at by hand: a sample that is drawn where something is to be learned, and yet speaks for all rows.

Each row has a probability of being picked that is above zero and known, so that weighting by its inverse gives unbiased
totals (D. G. Horvitz and D. J. Thompson, Journal of the American Statistical Association 47 (1952)). The rows are drawn
by systematic sampling with unequal probabilities in random order (W. G. Madow, Annals of Mathematical Statistics 20
(1949)), which keeps to the probabilities exactly, and to the number of rows. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import DataError

Floats = npt.NDArray[np.float64]

RANDOM = "random"
"""The reason of rows that stand for all others: on their own an equal-probability sample."""


@dataclass(frozen=True)
class LabelSample:
    """A sample.

    Attributes:
        rows: Positions of the rows that were picked, ascending.
        inclusion: The probability with which each of them was picked, for whatever reason.
        reasons: What each was picked for.
    """

    rows: npt.NDArray[np.int64]
    inclusion: Floats
    reasons: list[str]


def pick(
    count: int, weights: Mapping[str, Floats], shares: Mapping[str, float], *, rows: int, seed: int
) -> LabelSample:
    """Pick rows for several reasons at once.

    Args:
        count: How many to pick; all, if there are no more.
        weights: For each reason how much each row is worth looking at for it, none negative; shape (rows,).
        shares: For each reason what part of the sample it's given; what is left, and what a reason has no row for, is
            picked at random.
        rows: How many there are.
        seed: Of the draw.

    Raises:
        DataError: shares of more than 1, or that leave nothing to chance.
    """
    if sum(shares.values()) >= 1 or min(shares.values(), default=0) < 0:
        raise DataError(f"shares {dict(shares)!r} leave nothing to chance; let them add up to less than 1")
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
    # A reason is drawn as well, so that the rows picked at random are so with one and the same probability.
    levels = np.cumsum([parts[name][chosen] for name in names], axis=0)
    drawn = (random.random(len(chosen)) * levels[-1] >= levels).sum(axis=0)
    return LabelSample(chosen, inclusion[chosen], [names[place] for place in drawn])


def _parts(count: int, weights: Mapping[str, Floats], shares: Mapping[str, float], rows: int) -> dict[str, Floats]:
    """The probability of each row by reason; their sum is nowhere above 1, and `count` over all rows."""
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
        # A row is picked at most once; what it had more goes to the others.
        factor[over] = (1 - base) / total[over]
        free &= ~over
        left = count - base * rows - (factor * total)[~free].sum()
        if not free.any() or left <= 0:
            break
        factor[free] = left / total[free].sum()
    return {RANDOM: np.full(rows, base), **{name: factor * values for name, values in directed.items()}}
