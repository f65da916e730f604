"""How far apart two distributions are, from counts alone: effect sizes, their bias, and how likely by chance.

All functions take the counts of the reference and of the current rows over the same cells (bins or categories), each
of shape (cells,). Counts add up, so rows can be counted chunk by chunk.
"""

import numpy as np
import numpy.typing as npt

from everfit.blocks.monitoring import DriftMethod

Counts = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]

FEWEST_EXPECTED = 5.0
"""Cells expected to hold fewer rows than this on either side are pooled (Cochran 1954)."""

_EXACT = 0.05
"""The share of the error risk that an exact test gets."""

DISCRETE = 20
"""A numeric column of at most that many different values is compared value by value, as Evidently does."""


def shares(counts: Counts) -> Shares:
    """The share of the rows in each cell.

    Raises:
        ValueError: there are no rows.
    """
    total = counts.sum()
    if total <= 0:
        raise ValueError("there are no rows to take shares of; leave the column out by name instead")
    result: Shares = counts / total
    return result


def fill_empty(cells: Shares) -> Shares:
    """Empty cells get a small share, so that a logarithm exists: the rule is Evidently 0.7's (`get_binned_data`).

    The small share is 0.0001, or a millionth of the smallest non-empty cell where that cell is at most 0.0001.
    """
    smallest = float(cells[cells > 0].min())
    return np.where(cells == 0, smallest / 1e6 if smallest <= 1e-4 else 1e-4, cells)


def psi(reference: Counts, current: Counts) -> float:
    """Population stability index, equal to Evidently's `psi` on the same cells (Siddiqi 2006; symmetrised KL)."""
    old, new = fill_empty(shares(reference)), fill_empty(shares(current))
    return float(np.sum((old - new) * np.log(old / new)))


def jensenshannon(reference: Counts, current: Counts) -> float:
    """Jensen-Shannon distance with natural logarithm, 0 to 0.833; equal to Evidently's `jensenshannon` (Lin 1991)."""
    return float(np.sqrt(max(0.0, _js_divergence(shares(reference), shares(current)))))


def tvd(reference: Counts, current: Counts) -> float:
    """Total variation distance, 0 to 1: the share of rows that would have to move to another cell."""
    return float(np.abs(shares(reference) - shares(current)).sum() / 2)


def statistic(method: DriftMethod, reference: Counts, current: Counts) -> float:
    """The plain statistic of this method, as Evidently gives it."""
    return {"psi": psi, "jensenshannon": jensenshannon, "tvd": tvd}[method](reference, current)


def effect(method: DriftMethod, reference: Counts, current: Counts) -> float:
    """The statistic without what chance alone is expected to give at these numbers of rows; never negative.

    Between two samples of one distribution over K cells, of n and m rows, the squared relative differences of shares
    sum to (K - 1)(1/n + 1/m) on average. To second order that is PSI itself, and eight times the Jensen-Shannon
    divergence (Yurdakul & Naranjo 2020 for PSI). So a plain PSI of 1,000 rows is larger than one of 1,000,000 rows.
    Cells too sparse for that to hold are pooled first.
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
    """How likely cells differ at least so much when both come from one distribution.

    Pearson's chi-square test says that of cells that hold enough rows; the rarest are counted with the last of them. An
    exact test says whether more of the current rows are among the rarest than expected by chance. Most of the risk of
    error goes to the first (weighted Bonferroni).
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
    """How likely so many current rows are of a kind, or more, where each row of it is on either side by chance.

    Args:
        before: Rows of the kind in the reference.
        now: Rows of it among the current ones.
        n: All rows of the reference.
        m: All current rows.
    """
    from scipy.special import bdtrc

    return float(bdtrc(now - 1, before + now, m / (n + m))) if now else 1.0


def either(likely: float, exact: float) -> float:
    """The p-value of two tests together: an exact one, of what is far beyond any doubt, gets little of the risk."""
    return min(1.0, likely / (1 - _EXACT), exact / _EXACT)


def comparable(reference: Counts, current: Counts) -> bool:
    """Whether there are rows enough to tell cells apart: of several that are pooled into one nothing is known."""
    cells, _ = _pooled(reference, current)
    return len(cells) > 1 or [len(each) for each in cells] == [1]


def pool_sparse(reference: Counts, current: Counts) -> tuple[Counts, Counts]:
    """Drop the cells that are empty on both sides, and pool those too sparse for the tests to hold.

    Sparse cells are pooled until each pool holds enough, so that many of them don't become a single one; what is left
    over, and doesn't hold enough, is the last cell.
    """
    cells, rare = _pooled(reference, current)
    old, new = _counted([*cells, rare] if rare else cells, reference, current)
    return old, new


def _pooled(reference: Counts, current: Counts) -> tuple[list[list[int]], list[int]]:
    """Groups of cells that are to hold enough rows each on either side, and the cells left over, which don't.

    By the reference's counts alone, and by lot: pooled by what the current rows are, or in the order of the counts,
    cells would differ by the choice of those that are pooled.
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
    middle = (old + new) / 2

    def towards_middle(side: Shares) -> float:
        used = side > 0
        return float(np.sum(side[used] * np.log(side[used] / middle[used])))

    return (towards_middle(old) + towards_middle(new)) / 2
