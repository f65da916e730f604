"""How far apart two distributions are, from counts alone: effect sizes, their bias, and how likely by chance.

All functions take the counts of the reference and of the current rows over the same cells (bins or categories), each
of shape (cells,). Counts add up, so rows can be counted chunk by chunk.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from everfit.blocks.monitoring import DriftMethod

Counts = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]

FEWEST_EXPECTED = 5.0
"""Cells expected to hold fewer rows than this on either side are pooled (Cochran 1954)."""

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
    """How likely cells differ at least so much when both come from one distribution (Pearson's chi-square test)."""
    from scipy.special import chdtrc

    old, new = pool_sparse(reference, current)
    if old.size < 2:
        return 1.0
    n, m = old.sum(), new.sum()
    together = (old + new) / (n + m)
    distance = ((old - n * together) ** 2 / (n * together) + (new - m * together) ** 2 / (m * together)).sum()
    return float(chdtrc(old.size - 1, distance))


def pool_sparse(reference: Counts, current: Counts) -> tuple[Counts, Counts]:
    """Drop the cells that are empty on both sides, and pool those too sparse for the tests to hold into one."""
    together = reference + current
    used = together > 0
    old, new, together = reference[used], current[used], together[used]
    smaller = min(old.sum(), new.sum()) / max(1, together.sum())
    sparse = together * smaller < FEWEST_EXPECTED
    if not sparse.any():
        return old, new
    return (
        np.append(old[~sparse], old[sparse].sum()),
        np.append(new[~sparse], new[sparse].sum()),
    )


def evidently_counts(reference: Any, current: Any, *, numeric: bool) -> tuple[Counts, Counts]:
    """Count both columns over the cells that Evidently 0.7 makes (`get_binned_data`), missing values left out.

    Those cells depend on both sides together: Sturges' equal widths over the range of both, or every value found on
    either side when the reference has at most 20 of them. They can't be fixed when a model is trained, and one wild
    value makes all others fall into one cell, so decisions use the reference's own cells
    (`everfit.tasks.watching.profile`).

    Args:
        reference: Series of the reference's values.
        current: Series of the values to compare.
        numeric: Whether the column is numeric.

    Returns:
        Counts of the reference and of the current values, each of shape (cells,).
    """
    import pandas as pd

    old, new = (side.replace([-np.inf, np.inf], np.nan).dropna() for side in (reference, current))
    if numeric and old.nunique() > DISCRETE:
        edges = np.histogram_bin_edges(np.asarray(pd.concat([old, new]).to_numpy()), bins="sturges")
        return np.histogram(old, edges)[0], np.histogram(new, edges)[0]
    both = pd.concat([old.value_counts(), new.value_counts()], axis=1).fillna(0).to_numpy().astype(np.int64)
    return both[:, 0], both[:, 1]


def _js_divergence(old: Shares, new: Shares) -> float:
    middle = (old + new) / 2

    def towards_middle(side: Shares) -> float:
        used = side > 0
        return float(np.sum(side[used] * np.log(side[used] / middle[used])))

    return (towards_middle(old) + towards_middle(new)) / 2
