"""Measure how far apart two distributions are by their counts: effect sizes, their bias, and p-values.

All functions take the counts of the reference and of the current rows over the same cells (bins or categories), each
of shape (cells,). Counts add up, so rows can be counted chunk by chunk.
"""

import numpy as np
import numpy.typing as npt

from everfit.blocks.monitoring import DriftMethod

Counts = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]

FEWEST_EXPECTED = 5.0
"""Cells with fewer expected rows on either side are pooled (Cochran 1954)."""

_EXACT = 0.05
"""Share of the risk of error that the exact test gets."""

DISCRETE = 20
"""A numeric column with at most this many distinct values is compared value by value, as Evidently does."""


def shares(counts: Counts) -> Shares:
    """Return the share of the rows in each cell; shape (cells,).

    Raises:
        ValueError: If there are no rows.
    """
    total = counts.sum()
    if total <= 0:
        raise ValueError("there are no rows to compute shares of; exclude the column by name")
    result: Shares = counts / total
    return result


def fill_empty(cells: Shares) -> Shares:
    """Give empty cells a small share, so that their logarithm exists: Evidently 0.7's rule (`get_binned_data`).

    The small share is 0.0001, or a millionth of the smallest non-empty cell if that cell is at most 0.0001.
    """
    smallest = float(cells[cells > 0].min())
    return np.where(cells == 0, smallest / 1e6 if smallest <= 1e-4 else 1e-4, cells)


def psi(reference: Counts, current: Counts) -> float:
    """Return the population stability index, equal to Evidently's `psi` (Siddiqi 2006; symmetrised KL)."""
    old, new = fill_empty(shares(reference)), fill_empty(shares(current))
    return float(np.sum((old - new) * np.log(old / new)))


def jensenshannon(reference: Counts, current: Counts) -> float:
    """Return the Jensen-Shannon distance with natural logarithm, 0 to 0.833, equal to Evidently's (Lin 1991)."""
    return float(np.sqrt(max(0.0, _js_divergence(shares(reference), shares(current)))))


def tvd(reference: Counts, current: Counts) -> float:
    """Return the total variation distance, 0 to 1: the share of rows that would have to move to another cell."""
    return float(np.abs(shares(reference) - shares(current)).sum() / 2)


def statistic(method: DriftMethod, reference: Counts, current: Counts) -> float:
    """Return the plain statistic of a method, as Evidently computes it."""
    return {"psi": psi, "jensenshannon": jensenshannon, "tvd": tvd}[method](reference, current)


def effect(method: DriftMethod, reference: Counts, current: Counts) -> float:
    """Return the statistic minus its expectation by chance at these numbers of rows; never negative.

    Between two samples of one distribution over K cells, of n and m rows, the squared relative differences of shares
    sum to (K - 1)(1/n + 1/m) on average. To second order that is PSI itself, and eight times the Jensen-Shannon
    divergence (Yurdakul & Naranjo 2020 for PSI). So a plain PSI of 1,000 rows is larger than one of 1,000,000 rows.
    Cells too sparse for this are pooled first.
    """
    old, new = pool_sparse(reference, current)
    if old.size < 2:
        return 0.0
    rows = 1 / old.sum() + 1 / new.sum()
    if method == "psi":
        return max(0.0, psi(old, new) - float((old.size - 1) * rows))
    if method == "jensenshannon":
        divergence = _js_divergence(shares(old), shares(new)) - float((old.size - 1) * rows / 8)
        return float(np.sqrt(max(0.0, divergence)))
    together = (old + new) / (old.sum() + new.sum())
    by_chance = np.sqrt(2 / np.pi * together * (1 - together) * rows).sum() / 2
    return max(0.0, tvd(old, new) - float(by_chance))


def p_value(reference: Counts, current: Counts) -> float:
    """Return the probability of at least this difference if both sides come from one distribution.

    Pearson's chi-square test covers the cells with enough rows; the rarest cells count towards the last of them. An
    exact test asks whether the rarest cells hold more current rows than by chance. Most of the risk of error goes to
    the first (weighted Bonferroni).
    """
    from scipy.special import chdtrc

    cells, rare = _pooled(reference, current)
    likely = 1.0
    if len(cells) > 1:
        old, new = _counted([*cells[:-1], [*cells[-1], *rare]], reference, current)
        together = (old + new) / (old.sum() + new.sum())
        distance = sum(((side - side.sum() * together) ** 2 / (side.sum() * together)).sum() for side in (old, new))
        likely = float(chdtrc(old.size - 1, distance))
    if not rare:
        return likely
    before, now = int(reference[rare].sum()), int(current[rare].sum())
    return either(likely, more_than_chance(before, now, int(reference.sum()), int(current.sum())))


def more_than_chance(before: int, now: int, n: int, m: int) -> float:
    """Return the probability of this many current rows of a kind, or more, if chance puts each on either side.

    Args:
        before: Rows of the kind in the reference.
        now: Rows of the kind among the current ones.
        n: All rows of the reference.
        m: All current rows.
    """
    from scipy.special import bdtrc

    return float(bdtrc(now - 1, before + now, m / (n + m))) if now else 1.0


def either(likely: float, exact: float) -> float:
    """Combine the p-values of both tests; the exact one gets little of the risk, as it is for overwhelming evidence."""
    return min(1.0, likely / (1 - _EXACT), exact / _EXACT)


def comparable(reference: Counts, current: Counts) -> bool:
    """Return whether there are enough rows to compare cells: a single pool of several cells shows nothing."""
    cells, _ = _pooled(reference, current)
    return len(cells) > 1 or [len(cell) for cell in cells] == [1]


def pool_sparse(reference: Counts, current: Counts) -> tuple[Counts, Counts]:
    """Drop cells that are empty on both sides, and pool those that are too sparse for the tests.

    Sparse cells are pooled until each pool has enough rows, so that they don't become a single cell; the last cell
    holds the rest, and may have too few.
    """
    cells, rare = _pooled(reference, current)
    old, new = _counted([*cells, rare] if rare else cells, reference, current)
    return old, new


def _pooled(reference: Counts, current: Counts) -> tuple[list[list[int]], list[int]]:
    """Return groups of cells with enough expected rows on both sides, and the remaining cells.

    Groups depend on the reference's counts and a random order alone: if they depended on the current rows, or on the
    order of the counts, cells would differ by the choice of what is pooled.
    """
    enough = FEWEST_EXPECTED / min(1.0, current.sum() / max(1, reference.sum()))
    groups = [[place] for place in np.flatnonzero(reference >= enough).tolist()]
    begun: list[int] = []
    for place in np.random.default_rng(0).permutation(reference.size).tolist():
        if reference[place] < enough and reference[place] + current[place] > 0:
            begun.append(place)
            if reference[begun].sum() >= enough:
                groups.append(begun)
                begun = []
    return groups, begun


def _counted(cells: list[list[int]], *sides: Counts) -> list[Counts]:
    return [np.array([side[cell].sum() for cell in cells], dtype=np.int64) for side in sides]


def _js_divergence(old: Shares, new: Shares) -> float:
    from scipy.special import rel_entr

    middle = (old + new) / 2
    return float((rel_entr(old, middle).sum() + rel_entr(new, middle).sum()) / 2)
