"""Kill processes that spool and drain, and do to their folders what backups, clones and cleaners do.

The invariant: each prediction that was answered is in the log, exactly once. The log's files are read directly.
"""

import os
import random
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
from deltalake import DeltaTable
from support.processes import forked
from support.spools import KINDS, batch, drain_of

from campaign.tally import Tally
from everfit.infra.serving.spool import Spool
from everfit.tasks.storage.tables import Table

_LIFE_SECONDS = 300.0


def run_spools(folder: Path, seed: int, lives: int) -> Tally:
    """Run a number of lives, each with a kill and a fault of the folder, and compare the log with the answers.

    Args:
        folder: Empty folder.
        seed: Decides on everything but the moment at which the system delivers a kill.
        lives: Number of processes.
    """
    log = folder / "predictions"
    folders, answered, tally = run_lives(_live, log, folder, seed, lives, _LIFE_SECONDS)
    for place in folders:
        spool = Spool.claim(place)
        drain = drain_of(spool, Table(str(log)))
        for _ in range(3):
            drain.drain()
        spool.close()
        if drain.state.error:
            tally.broken.append(f"seed {seed}: {place.name} can't be drained: {drain.state.error}")
    _compare(log, answered.read_text().split(), seed, tally)
    return tally


def run_lives(
    live: Callable[[Path, Path, Path, int, float], None],
    table: Path,
    folder: Path,
    seed: int,
    lives: int,
    seconds: float,
) -> tuple[list[Path], Path, Tally]:
    """Run processes that spool and drain, and disturb their folders after each.

    Args:
        live: What a process does: spool's folder, table, file for what was answered, number of the life, its chance.
        table: What is drained into.
        folder: Empty folder.
        seed: Decides on everything but the moment at which the system delivers a kill.
        lives: Number of processes.
        seconds: Time for each.

    Returns:
        The spools, the file with what was answered, and what was done and broken so far.
    """
    chance, tally = random.Random(seed), Tally()
    folders, answered = [folder / "spool-0"], folder / "answered"
    answered.touch()
    for life in range(lives):
        place = chance.choice(folders)
        process = forked.Process(target=live, args=(place, table, answered, life, chance.random()))
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
            tally.broken.append(f"seed {seed}: life {life} hangs")
        tally.done["kills" if process.exitcode == -signal.SIGKILL else "lives that ended by themselves"] += 1
        if process.exitcode not in {0, -signal.SIGKILL}:
            tally.broken.append(f"seed {seed}: life {life} ended with exit code {process.exitcode}")
        tally.done[disturb(folders, folder, chance)] += 1
    return folders, answered, tally


def last_step(chance: random.Random, steps: int) -> int | None:
    """Choose the step in which a process is killed, or none for one process in ten.

    A moment on the clock would come before the first step on a busy machine.
    """
    return chance.randrange(steps) if chance.random() < 0.9 else None


def kill_soon(chance: random.Random) -> None:
    """Kill this process within the time of a step, in whatever it does then."""
    threading.Timer(chance.uniform(0, 0.03), lambda: os.kill(os.getpid(), signal.SIGKILL)).start()


def _live(place: Path, log: Path, answered: Path, life: int, chance_of: float) -> None:
    """Predict and drain until a kill at a random moment."""
    chance = random.Random(chance_of)
    spool = Spool.claim(place, segment_bytes=2_000, sync=False)
    drain = drain_of(spool, Table(str(log)))
    last = last_step(chance, 12)
    with answered.open("a", buffering=1) as answers:
        for number in range(12):
            if number == last:
                kill_soon(chance)
            if chance.random() < 0.3:
                drain.drain()
            rows = batch(life * 1_000 + number * 20, chance.randint(1, 20))
            spool.append(KINDS, rows)
            answers.write(" ".join(rows["_prediction_id"]) + "\n")  # now the client has its answer
    if chance.random() < 0.5:
        drain.drain()
    spool.close()


def disturb(folders: list[Path], root: Path, chance: random.Random) -> str:
    """Do something to the folders between two lives; nothing that was on a disk is taken from all of them.

    Args:
        folders: The spools, to which copies are added.
        root: Folder of all of them.
        chance: Decides on what is done.

    Returns:
        What was done.
    """
    place = chance.choice(folders)
    what = chance.choice(["clones", "restored backups", "cleaned folders", "emptied id files", "quiet nights"])
    if what == "clones" and len(folders) < 4 and place.exists():
        shutil.copytree(place, root / f"spool-{len(folders)}")
        folders.append(root / f"spool-{len(folders)}")
    elif what == "restored backups" and place.exists():
        backup, replaced = root / "backup", root / f"spool-{len(folders)}"
        if backup.exists() and len(folders) < 4:
            place.rename(replaced)  # its disk is drained later
            folders.append(replaced)
            shutil.copytree(backup, place)
        shutil.rmtree(backup, ignore_errors=True)
        shutil.copytree(place, backup)
    elif what == "cleaned folders":
        for path in place.rglob("*"):
            if path.is_file() and (path.stat().st_size == 0 or path.suffix != ".seg"):
                path.unlink()
    elif what == "emptied id files":
        for path in place.glob("*"):
            (path / "id").write_text("")
    return what


def _compare(log: Path, answered: list[str], seed: int, tally: Tally) -> None:
    files = DeltaTable(str(log)).file_uris() if answered else []
    logged = Counter(one for file in files for one in pq.read_table(file)["_prediction_id"].to_pylist())
    lost = sorted(set(answered) - logged.keys())
    doubled = sorted(name for name, count in logged.items() if count > 1)
    tally.done["answered predictions"] += len(set(answered))
    if lost:
        tally.broken.append(f"seed {seed}: {len(lost)} answered predictions are not in the log, such as {lost[0]}")
    if doubled:
        tally.broken.append(f"seed {seed}: {len(doubled)} predictions are in the log twice, such as {doubled[0]}")
