"""Bootstrap weightings: many resamples of the same rows, as how often each row was drawn.

B. Efron, "Bootstrap methods: another look at the jackknife", The Annals of Statistics 7 (1979). Counting how
often a row was drawn, in place of copying rows, lets a metric sort its rows once for all draws.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from everfit.tasks.statistics.weighted_metrics import Floats, Weights

_CELLS = 50_000
"""Rows times draws worked on at once: they fit the processor's cache, and memory that is at hand."""
_WORTH_THREADS = 20_000_000


def resample(
    rows: int,
    values: Callable[[Weights], Floats],
    *,
    draws: int,
    seed: int,
    weights: Weights | None = None,
    clusters: npt.NDArray[np.int64] | None = None,
) -> Floats:
    """Evaluate something on bootstrap resamples.

    The draws depend on the seed and the number of rows alone, whatever the number of processors.

    Args:
        rows: How many rows there are.
        values: From weightings (draws, rows) to a value for each (draws, …).
        draws: How many resamples.
        seed: Of the resampling.
        weights: Weight of each row, shape (rows,).
        clusters: Index of each row's cluster, shape (rows,), numbered from 0 without gaps: whole clusters are
            drawn then, for rows that are not independent of each other (C. A. Field and A. H. Welsh,
            "Bootstrapping clustered data", Journal of the Royal Statistical Society B 69 (2007)).

    Returns:
        The values, shape (draws, …).
    """
    units = rows if clusters is None else int(clusters.max()) + 1

    def chunk(task: tuple[np.random.SeedSequence, int]) -> Floats:
        source, size = task
        drawn = np.random.default_rng(source).integers(0, units, size=(size, units))
        drawn += np.arange(size)[:, None] * units
        counts: Weights = np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units)
        if clusters is not None:
            counts = counts.take(clusters, axis=1)
        return values(counts if weights is None else counts * weights)

    tasks = list(_chunks(draws, max(1, _CELLS // rows), seed))
    threads = min(4, os.cpu_count() or 1) if rows * draws > _WORTH_THREADS else 1
    if threads == 1:
        return np.concatenate([chunk(task) for task in tasks])
    with ThreadPoolExecutor(threads) as pool:  # numpy lets go of the interpreter's lock in its loops
        return np.concatenate(list(pool.map(chunk, tasks)))


def _chunks(draws: int, size: int, seed: int) -> Iterator[tuple[np.random.SeedSequence, int]]:
    sizes = [min(size, draws - start) for start in range(0, draws, size)]
    return zip(np.random.SeedSequence(seed).spawn(len(sizes)), sizes, strict=True)
