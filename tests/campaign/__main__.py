"""Run all drivers for some minutes: `python -m campaign --seconds 600 --seed 1`.

Prints what was done and each broken invariant with its seed, and exits with 1 if there is any.
"""

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from campaign import schedules, spool_schedules
from campaign.disks import run_disks
from campaign.failing_disk import KILL, compiler
from campaign.failing_spools import run_failing_spools
from campaign.labels import run_labels
from campaign.power import run_power
from campaign.power_commands import run_power_commands
from campaign.registries import changed_files
from campaign.releases import run_releases
from campaign.requests import run_requests
from campaign.schedules import run_schedules
from campaign.servers import run_servers
from campaign.spool_schedules import run_spool_schedules
from campaign.spools import run_spools
from campaign.tables import run_tables
from campaign.tally import Tally


def _seeds(seed: int, count: int) -> range:
    return range(seed * 1_000, seed * 1_000 + count)


DRIVERS: dict[str, Callable[[Path, int], Tally]] = {
    "spools": lambda folder, seed: run_spools(folder, seed, lives=25),
    "labels": lambda folder, seed: run_labels(folder, seed, lives=15),
    "power": lambda folder, seed: run_power(folder, seed, cuts=25),
    "power-commands": lambda folder, seed: run_power_commands(folder, seed, cuts=10),
    "releases": lambda folder, seed: run_releases(folder, seed, lives=40),
    "requests": lambda folder, seed: run_requests(folder, seed, requests=1_000),
    "schedules": lambda folder, seed: run_schedules(
        folder, [*schedules.FOUND, *range(seed * 1_000, seed * 1_000 + 300)]
    ),
    "spool-schedules": lambda folder, seed: run_spool_schedules(folder, [*spool_schedules.FOUND, *_seeds(seed, 30)]),
    "artifacts": lambda folder, seed: changed_files(folder, seed, changes=30),
    **(
        {
            "disks": lambda folder, seed: run_disks(folder, seed, faults=30),
            "kills": lambda folder, seed: run_disks(folder, seed, faults=30, kinds=[KILL]),
            "failing-spools": lambda folder, seed: run_failing_spools(folder, seed, faults=60),
        }
        if compiler()
        else {}
    ),
    "servers": lambda folder, seed: run_servers(folder, seed, lives=3),
    "tables": lambda folder, seed: run_tables(folder, seed, count=10),
}


def main() -> int:
    """Run the drivers in turn, each time with another seed, until the time is over."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=120.0)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--only", choices=sorted(DRIVERS), help="run this driver alone")
    given = arguments.parse_args()
    until, seed, total, ended = time.monotonic() + given.seconds, given.seed, Tally(), list[str]()
    while time.monotonic() < until:
        for name in [given.only] if given.only else DRIVERS:
            with tempfile.TemporaryDirectory(prefix=f"everfit-campaign-{name}-") as folder:
                try:
                    total.add(DRIVERS[name](Path(folder), seed))
                except Exception:  # noqa: BLE001 - what the others have found by then must not be lost
                    traceback.print_exc()
                    ended.append(f"{name} with seed {seed}")
        seed += 1
    print(f"seeds {given.seed} to {seed - 1}: {total.text()}")
    if ended:
        print(f"ended by an error of their own: {', '.join(ended)}")
    return 1 if total.broken or ended else 0


if __name__ == "__main__":
    sys.exit(main())
