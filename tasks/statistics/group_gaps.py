"""The widest difference between the rates of groups, and the calibration error, each with an interval. Pure."""

from dataclasses import dataclass
from itertools import permutations
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from everfit.tasks.statistics.day_errors import dependent_error, mean_error_by_days

Floats = npt.NDArray[np.float64]
Cells = npt.NDArray[np.intp]

MIN_GROUP_ROWS = 20
"""Smaller groups are left out of a difference, because their rates are noise."""
_BINS = 10
_DRAWS = 400
_LEAST_CLUSTERS = 4


@dataclass(frozen=True)
class Gap:
    """A difference with its interval at 95 %, each end one-sided.

    Attributes:
        value: The difference.
        low: The smallest that fits the data.
        high: The largest.
        rows: The rows that it was measured on.
        names: The groups with the highest and the lowest rate; empty where there are none.
    """

    value: float
    low: float
    high: float
    rows: int
    names: tuple[str, ...] = ()


def widest_gap(
    values: npt.ArrayLike,
    groups: npt.NDArray[np.str_],
    days: npt.ArrayLike,
    *,
    entities: npt.ArrayLike | None = None,
    weights: npt.ArrayLike | None = None,
    tests: int = 1,
) -> Gap | None:
    """Return the difference between the highest and the lowest rate of groups.

    The widest of many differences is wide by chance alone. So its lower end is the largest that any pair of groups
    shows with its error, corrected for the number of pairs (Bonferroni).

    Args:
        values: 0 or 1, shape (n,).
        groups: The group of each row, shape (n,). Groups of fewer than 20 rows are left out.
        days: The day of each row; rows of a day may depend on each other. Shape (n,).
        entities: The entity of each row, such as the customer, shape (n,).
        weights: Weight of each row, shape (n,).
        tests: The number of such differences that are looked at.

    Returns:
        None with fewer than two groups.
    """
    numbers, weighted = np.asarray(values, dtype=np.float64), _ones(values, weights)
    clusters = [np.asarray(one) for one in (days, entities) if one is not None]
    rates: dict[str, tuple[float, float]] = {}
    rows = 0
    for name in np.unique(groups):
        chosen = groups == name
        if chosen.sum() < MIN_GROUP_ROWS:
            continue
        rows += int(chosen.sum())
        rates[str(name)] = _rate(numbers[chosen], weighted[chosen], [one[chosen] for one in clusters])
    if len(rates) < 2:
        return None
    highest, lowest = max(rates, key=lambda name: rates[name][0]), min(rates, key=lambda name: rates[name][0])
    pairs = list(permutations(rates, 2))
    certain = NormalDist().inv_cdf(1 - 0.05 / (len(pairs) * tests))

    def ends(one: str, other: str) -> tuple[float, float]:
        half = certain * float(np.hypot(rates[one][1], rates[other][1]))
        difference = rates[one][0] - rates[other][0]
        return difference - half, difference + half

    return Gap(
        value=rates[highest][0] - rates[lowest][0],
        low=max(0.0, *(ends(*pair)[0] for pair in pairs)),
        high=min(1.0, ends(highest, lowest)[1]),
        rows=rows,
        names=(highest, lowest),
    )


def calibration_gap(
    predicted: Floats, happened: Floats, clusters: npt.ArrayLike, *, weights: npt.ArrayLike | None = None, seed: int = 0
) -> Gap:
    """Return the expected calibration error over ten bins of equal width.

    Chance alone makes the error larger, above all on few rows. By the triangle inequality the measured error is at most
    the true one and the sum of the bins' deviations by chance, and at least their difference. So the interval is the
    measured error and the 95 % quantile of that sum on either side, which a bootstrap of clusters gives (B. Efron,
    R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 8).

    Args:
        predicted: Probabilities, shape (n,).
        happened: 0 or 1, shape (n,).
        clusters: The day or the entity of each row, drawn as a whole; with fewer than 4, rows are. Shape (n,).
        weights: Weight of each row, shape (n,).
        seed: The seed of the draws.
    """
    weighted = _ones(predicted, weights)
    places = np.unique(np.asarray(clusters), return_inverse=True)[1]
    if places.max(initial=-1) + 1 < _LEAST_CLUSTERS:
        places = np.arange(predicted.size)
    count = int(places.max(initial=-1)) + 1
    bins: Cells = np.minimum((predicted * _BINS).astype(np.intp), _BINS - 1)
    gaps = np.bincount(places * _BINS + bins, weights=weighted * (predicted - happened), minlength=count * _BINS)
    sums, sizes = gaps.reshape(count, _BINS), np.bincount(places, weights=weighted, minlength=count)
    total = sums.sum(axis=0)
    value = float(np.abs(total).sum() / sizes.sum())
    random, drawn = np.random.default_rng(seed), np.empty(_DRAWS)
    for draw in range(_DRAWS):
        times = np.bincount(random.integers(0, count, count), minlength=count)
        drawn[draw] = np.abs(times @ sums / (times @ sizes) - total / sizes.sum()).sum()
    chance = float(np.quantile(drawn, 0.95))
    return Gap(value=value, low=max(value - chance, 0.0), high=min(value + chance, 1.0), rows=int(predicted.size))


def _ones(values: npt.ArrayLike, weights: npt.ArrayLike | None) -> Floats:
    return np.ones(np.asarray(values).shape[0]) if weights is None else np.asarray(weights, dtype=np.float64)


def _rate(values: Floats, weights: Floats, clusters: list[npt.NDArray[np.generic]]) -> tuple[float, float]:
    """Return a share and its standard error, which is above 0 also where all rows are alike."""
    rate, effective = float(np.average(values, weights=weights)), weights.sum() ** 2 / np.square(weights).sum()
    drawn_in = (rate * effective + 1) / (effective + 2)
    by_rows = float(np.sqrt(drawn_in * (1 - drawn_in) / effective))
    return rate, max(
        (dependent_error(by_rows, mean_error_by_days(values, one, weights)) for one in clusters), default=by_rows
    )
