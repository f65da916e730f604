"""Resample rows by bootstrap, as the number of times that each row is drawn.

B. Efron, "Bootstrap methods: another look at the jackknife", The Annals of Statistics 7 (1979). With counts in place of
copied rows, a metric sorts its rows once for all draws.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from everfit.tasks.core.cores import usable_cores
from everfit.tasks.statistics.weighted_metrics import Floats, Weights

_CELLS = 50_000
"""Number of rows times draws to compute at once, so that they fit the processor's cache."""
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
    """Evaluate a function on bootstrap resamples.

    The draws depend only on the seed and the number of rows, for any number of processors.

    Args:
        rows: Number of rows.
        values: Function from weightings (draws, rows) to a value for each (draws, …).
        draws: Number of resamples.
        seed: Seed of the resampling.
        weights: Weight of each row; shape (rows,).
        clusters: Index of each row's cluster, numbered from 0 without gaps; shape (rows,). Whole clusters are drawn
        then,
            for rows that are not independent of each other (C. A. Field and A. H. Welsh, "Bootstrapping clustered
            data", Journal of the Royal Statistical Society B 69 (2007)).

    Returns:
        The values; shape (draws, …).
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
    threads = min(4, usable_cores()) if rows * draws > _WORTH_THREADS else 1
    if threads == 1:
        return np.concatenate([chunk(task) for task in tasks])
    with ThreadPoolExecutor(threads) as pool:  # numpy releases the interpreter's lock in its loops
        return np.concatenate(list(pool.map(chunk, tasks)))


def _chunks(draws: int, size: int, seed: int) -> Iterator[tuple[np.random.SeedSequence, int]]:
    sizes = [min(size, draws - start) for start in range(0, draws, size)]
    return zip(np.random.SeedSequence(seed).spawn(len(sizes)), sizes, strict=True)
