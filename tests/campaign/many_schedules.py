"""Run schedules of the simulated world in all processors: `python -m campaign.many_schedules --count 100000`.

Prints what happened and each broken invariant with its seed, and exits with 1 if there is any. A seed that is printed
becomes a test: add it to `FOUND` in `schedules.py`, which every run replays.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from campaign import schedules, spool_schedules
from campaign.schedules import run_schedules
from campaign.spool_schedules import run_spool_schedules
from campaign.tally import Tally

_AT_ONCE = 250
_LEDGER_PER_SPOOL = 5
"""Schedules of ledger and registry for each of spool and log, which write more files."""


def _run(driver: Callable[[Path, Iterable[int]], Tally], seeds: Sequence[int]) -> Tally:
    memory = "/dev/shm"  # noqa: S108 - a folder of its own is made in it
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        return driver(Path(folder), seeds)


def main() -> int:
    """Run the schedules in as many processes as there are processors."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=1_000)
    arguments.add_argument("--seed", type=int, default=0, help="the first seed")
    given = arguments.parse_args()
    end = given.seed + given.count
    parts: list[tuple[Callable[[Path, Iterable[int]], Tally], Sequence[int]]]
    parts = [(run_schedules, schedules.FOUND), (run_spool_schedules, spool_schedules.FOUND)]
    for first in range(given.seed, end, _AT_ONCE):
        last = min(first + _AT_ONCE, end)
        parts.append((run_schedules, range(first, last)))
        parts.append((run_spool_schedules, range(first, first + (last - first) // _LEDGER_PER_SPOOL)))
    total = Tally()
    with multiprocessing.get_context("spawn").Pool(os.cpu_count(), maxtasksperchild=8) as processes:
        for tally in processes.starmap(_run, parts, chunksize=1):
            total.add(tally)
    print(total.text())
    return 1 if total.broken else 0


if __name__ == "__main__":
    sys.exit(main())
