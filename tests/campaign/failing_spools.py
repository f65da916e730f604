"""Let the disk fail under a service's spool and drain.

The invariant: each prediction that was answered is in the log exactly once, and none that was refused, once the disk
works again. The log's files are read directly. `python -m campaign.failing_spools` is the process whose disk fails.
"""

import random
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
from deltalake import DeltaTable
from support.spools import KINDS, batch, drain_of

from campaign.failing_disk import KINDS as FAULTS
from campaign.failing_disk import FailingDisk
from campaign.tally import Tally
from everfit.infra.serving.spool import Spool, SpoolError
from everfit.tasks.storage.panics import hide_panics
from everfit.tasks.storage.tables import Table


def run_failing_spools(folder: Path, seed: int, faults: int) -> Tally:
    """Spool and drain on a disk that fails again and again.

    Args:
        folder: Empty folder.
        seed: Decides on the kinds of faults and their moments.
        faults: Number of faults.
    """
    disk = FailingDisk(folder / "place", folder)
    return Tally.read(disk.run("campaign.failing_spools", str(folder), str(seed), str(faults)))


def _run(folder: Path, seed: int, faults: int) -> Tally:
    hide_panics()
    chance, tally, made = random.Random(seed), Tally(), 0
    answered, refused = list[str](), set[str]()
    disk, place = FailingDisk(folder / "place", folder), folder / "place"
    place.mkdir()
    spool = Spool.claim(place / "spool", segment_bytes=2_000)
    drain = drain_of(spool, Table(str(place / "predictions")))
    for fault in range(faults):
        kind, lasts = chance.choice(sorted(FAULTS)), chance.choice([0, 0, 1, 3])
        disk.fail(kind, chance.randint(1, 40), lasts)
        for _ in range(chance.randint(3, 12)):
            if chance.random() < 0.7:
                rows = batch(made, chance.randint(1, 20))
                made += len(rows["x"])
                try:
                    spool.append(KINDS, rows)
                    answered += rows["_prediction_id"]
                except SpoolError:
                    refused |= set(rows["_prediction_id"])
            else:
                drain.drain()
        tally.done[f"{kind} faults of a spool"] += disk.end()[1] > 0
        for _ in range(2):
            drain.drain()
        if drain.state.error:
            tally.broken.append(f"seed {seed}, fault {fault}: {kind}, {lasts}: can't be drained: {drain.state.error}")
        tally.broken += [
            f"seed {seed}, fault {fault}: {kind} for {lasts}: {wrong}"
            for wrong in _wrong(place / "predictions", answered, refused)
        ]
        if tally.broken:
            break
    tally.done["answered predictions"] += len(answered)
    tally.done["refused predictions"] += len(refused)
    return tally


def _wrong(log: Path, answered: list[str], refused: set[str]) -> list[str]:
    files = DeltaTable(str(log)).file_uris() if answered else []
    logged = Counter(one for file in files for one in pq.read_table(file)["_prediction_id"].to_pylist())
    found = {
        "answered predictions are lost": set(answered) - logged.keys(),
        "predictions are in the log twice": {name for name, count in logged.items() if count > 1},
        "predictions that were refused are in the log": refused & logged.keys(),
    }
    return [f"{len(names)} {what}" for what, names in found.items() if names]


if __name__ == "__main__":
    print(_run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])).written())
