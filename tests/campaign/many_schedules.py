"""Run schedules of the simulated world in all processors: `python -m campaign.many_schedules --count 100000`.

Prints what happened and each broken invariant with its seed, and exits with 1 if there is any. A seed that is printed
becomes a test: add it to `FOUND` in `test_campaign.py`.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

from campaign.schedules import run_schedules
from campaign.tally import Tally

_AT_ONCE = 250


def _run(first: int, count: int) -> Tally:
    memory = "/dev/shm"  # noqa: S108 - a folder of its own is made in it
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        return run_schedules(Path(folder), first, count)


def main() -> int:
    """Run the schedules in as many processes as there are processors."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=1_000)
    arguments.add_argument("--seed", type=int, default=0, help="the first seed")
    given = arguments.parse_args()
    parts = [(given.seed + start, min(_AT_ONCE, given.count - start)) for start in range(0, given.count, _AT_ONCE)]
    total = Tally()
    with multiprocessing.get_context("spawn").Pool(os.cpu_count(), maxtasksperchild=8) as processes:
        for tally in processes.starmap(_run, parts, chunksize=1):
            total.add(tally)
    print(total.text())
    return 1 if total.broken else 0


if __name__ == "__main__":
    sys.exit(main())
