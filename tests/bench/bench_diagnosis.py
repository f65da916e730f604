"""How often the diagnosis of a loss names the right cause: worlds of 2,000 labelled rows, with many seeds.

Run it with `PYTHONPATH=tests python tests/bench/bench_diagnosis.py 40`.
"""

import sys
from collections import Counter
from time import process_time

from support.diagnosed_worlds import CAUSES, TASKS, WORLDS

from everfit.tasks.diagnosis.diagnosis import diagnose


def main(seeds: int) -> None:
    """Print the causes that are named in each world, and the seconds of one diagnosis."""
    for world in WORLDS:
        for cause, changes in CAUSES.items():
            since = process_time()
            named = [diagnose(world(1_000 + seed, **changes), TASKS[world]).diagnosis for seed in range(seeds)]
            counts = Counter(found.cause for found in named)
            sliced = sum(bool(found.slices) for found in named)
            seconds = (process_time() - since) / seeds
            right = f"{counts[cause] / seeds:>5.0%} right  {dict(counts)}"
            print(f"{world.__name__:<12}{cause:<17}{right}  slices in {sliced}  {seconds:.2f} s", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)
