"""Compute metrics among rows of the same group, such as the same day, so that what a group shares cancels.

A day may be bad for all its rows: with storms, most flights are late. Two models that react to such days a little
differently then seem to differ much, by the luck of a few days. Rows of one day have that in common, so only pairs of
rows of the same day are ranked, or each day's mean error is taken off. The gain that is left is often far more certain.

The AUC is stratified like the Mann-Whitney statistic of P. van Elteren, "On the combination of independent two sample
tests of Wilcoxon", Bulletin of the International Statistical Institute 37 (1960), with each pair counted once. The
squared error around a group's mean is the within transformation of panel data: Y. Mundlak, "On the pooling of time
series and cross section data", Econometrica 46 (1978).
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
import numpy.typing as npt

from everfit.tasks.statistics.weighted_metrics import Floats, Groups

Counts = npt.NDArray[np.int64]


class Within(Protocol):
    """A metric within groups."""

    @property
    def value(self) -> float:
        """The value on all rows; NaN if it isn't defined."""

    def without_each(self, groups: Groups, count: int) -> Floats:
        """Return the value without each group of another grouping.

        Args:
            groups: Number of each row's group, from 0 on; shape (rows,).
            count: Number of groups.

        Returns:
            Shape (groups,).
        """


class _Auc:
    """The share of (positive, negative) pairs of the same group in the right order; ties count half."""

    def __init__(self, y: Floats, scores: Floats, within: Groups) -> None:
        self.is_positive = y == 1
        self.ranks = np.unique(scores, return_inverse=True)[1].astype(np.int64)
        self.within = within
        self.wins, self.pairs = self._counted(within)
        self.total = np.array([self.wins[self.is_positive].sum(), self.pairs[self.is_positive].sum()])

    @property
    def value(self) -> float:
        return float(self._share(self.total[:, None].astype(np.float64))[0])

    def without_each(self, groups: Groups, count: int) -> Floats:
        # A group takes its pairs with all rows away; those among its own rows are counted twice by that.
        own = self._counted(groups * (int(self.within.max(initial=0)) + 1) + self.within)
        left = []
        for total, of_all, of_own in zip(self.total, (self.wins, self.pairs), own, strict=True):
            lost = np.bincount(groups, of_all, minlength=count)
            twice = np.bincount(groups, np.where(self.is_positive, of_own, 0), minlength=count)
            left.append(total - lost + twice)
        return self._share(np.array(left, dtype=np.float64))

    def _counted(self, within: Groups) -> tuple[Counts, Counts]:
        """Return for each row twice the number of pairs in the right order, and the number of its pairs."""
        wins, pairs = np.zeros(within.size, dtype=np.int64), np.zeros(within.size, dtype=np.int64)
        places = within * (int(self.ranks.max(initial=0)) + 1)
        for rows, others, sign in ((self.is_positive, ~self.is_positive, 1), (~self.is_positive, self.is_positive, -1)):
            known = np.sort((places + self.ranks)[others])
            wanted, first = (places + self.ranks)[rows], np.searchsorted(known, places[rows])
            number = np.searchsorted(known, places[rows] + int(self.ranks.max(initial=0)), side="right") - first
            below = np.searchsorted(known, wanted) + np.searchsorted(known, wanted, side="right") - 2 * first
            wins[rows], pairs[rows] = below if sign > 0 else 2 * number - below, number
        return wins, pairs

    @staticmethod
    def _share(counts: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            share: Floats = counts[0] / 2 / counts[1]
        return share


class _SquaredError:
    """The mean squared error after each group's mean error is taken off; its root for the RMSE."""

    def __init__(self, y: Floats, scores: Floats, within: Groups, *, root: bool) -> None:
        self.errors, self.within, self.root = y - scores, within, root
        self.count = int(within.max(initial=0)) + 1

    @property
    def value(self) -> float:
        return float(self._of(*self._sums(self.within, 1))[0])

    def without_each(self, groups: Groups, count: int) -> Floats:
        of_groups = self._sums(groups * self.count + self.within, count)
        of_all = self._sums(self.within, 1)
        return self._of(*(everything - part for everything, part in zip(of_all, of_groups, strict=True)))

    def _sums(self, cells: Groups, count: int) -> tuple[Floats, Floats, Floats]:
        """Return rows, errors and squared errors by cell; shape (count, groups within) each."""
        size = count * self.count
        rows, errors, squares = (
            np.bincount(cells, weights, minlength=size).reshape(count, self.count).astype(np.float64)
            for weights in (None, self.errors, self.errors**2)
        )
        return rows, errors, squares

    def _of(self, rows: Floats, errors: Floats, squares: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            around = np.where(rows > 0, squares - errors**2 / rows, 0.0).sum(axis=1)
            mean = around / (rows.sum(axis=1) - (rows > 0).sum(axis=1))
        value: Floats = np.sqrt(np.maximum(mean, 0.0)) if self.root else mean
        return value


WITHIN: dict[str, Callable[[Floats, Floats, Groups], Within]] = {
    "roc_auc": _Auc,
    "brier": lambda y, scores, within: _SquaredError(y, scores, within, root=False),
    "mse": lambda y, scores, within: _SquaredError(y, scores, within, root=False),
    "rmse": lambda y, scores, within: _SquaredError(y, scores, within, root=True),
}
"""By scikit-learn's word for the metric: from labels, scores and groups to the metric within the groups."""
