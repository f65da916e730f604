"""The probability that a label is known by now, for rows that are not mature yet. Pure.

Labels that are known early are a biased sample: what is quick to know is often of one class. Each label therefore
counts by the inverse of the share of labels like it that are known at its row's age (Horvitz and Thompson, Journal of
the American Statistical Association 47 (1952)). The shares come from mature rows, whose labels have
had the time to come.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from everfit.blocks.errors import NotEnoughError

Floats = npt.NDArray[np.float64]

LEAST = 0.3
"""A label counts where at least this share of labels like it is known."""
FEWEST = 50
"""Labels of a group that say how fast they come."""
_PARTS = 5
"""Numbers are grouped by their size into this many parts."""


@dataclass(frozen=True)
class LabelArrival:
    """How fast labels of each group come, from rows that are mature.

    Attributes:
        delays: The sorted delays of each group's labels.
        edges: Upper ends of the groups of a number; None for classes.
        groups: The group of each class; empty for a number.
    """

    delays: tuple[Floats, ...]
    edges: Floats | None
    groups: dict[Any, int]

    @property
    def youngest(self) -> float:
        """The age from which at least `LEAST` of the labels of every group are known."""
        return max(float(delays[int(np.ceil(LEAST * len(delays))) - 1]) for delays in self.delays)

    def known_share(self, labels: npt.NDArray[Any], ages: npt.ArrayLike) -> Floats:
        """Return the share of labels like each label that is known at the age of its row.

        Args:
            labels: Labels of the rows, shape (rows,).
            ages: Times since their events, in the unit of the delays, shape (rows,).
        """
        group, age = _groups(labels, self.edges, self.groups), np.asarray(ages, dtype=np.float64)
        shares = np.empty(len(group))
        for number, delays in enumerate(self.delays):
            chosen = group == number
            shares[chosen] = np.searchsorted(delays, age[chosen], side="right") / len(delays)
        return shares


def label_arrival(labels: npt.NDArray[Any], delays: npt.ArrayLike, *, numeric: bool) -> LabelArrival:
    """Learn how fast labels come.

    Args:
        labels: Labels of mature rows, shape (rows,).
        delays: Time from event to label of each, at most the maturity; shape (rows,).
        numeric: Whether labels are numbers, which are grouped by their size.

    Raises:
        NotEnoughError: A group has fewer than `FEWEST` labels.
    """
    times = np.asarray(delays, dtype=np.float64)
    edges, groups = None, {}
    if numeric:
        edges = np.unique(np.quantile(np.asarray(labels, dtype=np.float64), np.arange(1, _PARTS) / _PARTS))
    else:
        names, counts = np.unique(labels.astype(str), return_counts=True)
        common = [name for name, count in zip(names, counts, strict=True) if count >= FEWEST]
        groups = {name: place for place, name in enumerate(common)} | {
            name: len(common)
            for name in names
            if name not in common  # rare classes are one group
        }
    of_row = _groups(labels, edges, groups)
    parts = tuple(np.sort(times[of_row == number]) for number in range(int(of_row.max(initial=0)) + 1))
    fewest = min(len(part) for part in parts)
    if fewest < FEWEST:
        raise NotEnoughError(
            f"{fewest} mature labels of one kind don't say how fast such labels come; {FEWEST} are needed"
        )
    return LabelArrival(parts, edges, groups)


def _groups(labels: npt.NDArray[Any], edges: Floats | None, groups: dict[Any, int]) -> npt.NDArray[np.int64]:
    if edges is not None:
        return np.searchsorted(edges, np.asarray(labels, dtype=np.float64), side="left").astype(np.int64)
    last = max(groups.values(), default=0)
    return np.array([groups.get(name, last) for name in labels.astype(str)], dtype=np.int64)
