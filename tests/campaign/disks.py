"""Let the disk fail under each command that writes: full, broken, read-only, forbidden, unreadable. Or kill it.

A command that meets the fault ends with an exit code other than 0 and one sentence, and has neither lost nor doubled
anything. Once the fault is over, the same command leaves exactly what it leaves on a disk that never failed. A command
that was killed before one of its writes has lost nothing either, and run again it leaves the same. Ledger,
registry and tables are read directly. `python -m campaign.disks` is the process that the commands are forked from;
`run_disks` starts it with the library that lets the disk fail.
"""

import os
import random
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from campaign.failing_disk import KILL, KINDS, FailingDisk
from campaign.left_behind import Left
from campaign.places import BY, MODEL, Place
from campaign.tally import Tally
from campaign.words import last_words, wrong_words


@dataclass(frozen=True)
class Command:
    """A command that writes.

    Attributes:
        words: The command, without `everfit`. `TURN` is the turn that waits for a person.
        base: The workspace that it begins with.
        removes: Whether it may delete rows.
        verified: Whether a model with its spec is there after it, which `everfit verify` must find as recorded.
    """

    words: tuple[str, ...]
    base: str = "champion"
    removes: bool = False
    verified: bool = True


COMMANDS = {
    "train": Command(("train", MODEL, "--until", "2024-03-01"), "data"),
    "retrain": Command(("train", MODEL, "--until", "2024-04-05")),
    "approve": Command(("approve", MODEL, "TURN", *BY), "waiting"),
    "decline": Command(("decline", MODEL, "TURN", *BY), "waiting"),
    "rollback": Command(("rollback", MODEL, "--reason", "test"), "two"),
    "trial": Command(("trial", MODEL, "--until", "2024-04-05"), "on trial"),
    "stop a trial": Command(("trial", MODEL, "--stop", *BY), "on trial"),
    "reconcile": Command(("reconcile", MODEL), "two"),
    "score": Command(("score", MODEL, "--since", "2024-03-20", "--until", "2024-04-05")),
    "score a file": Command(("score", MODEL, "--input", "deliveries/spring.csv")),
    "labels": Command(("labels", MODEL, "--until", "2024-04-05"), "scored"),
    "labels of a file": Command(("labels", MODEL, "labels.csv", "--until", "2024-04-05"), "scored"),
    "label-queue": Command(("label-queue", MODEL, "--n", "20", "--until", "2024-04-05"), "scored"),
    "monitor": Command(("monitor", MODEL, "--until", "2024-04-05"), "scored"),
    "quarantine": Command(("quarantine", MODEL, "--discard")),
    "expectations": Command(("expectations", MODEL, "--write")),
    "forget": Command(("forget", MODEL, "--key", "2024-01-01-7"), "scored", removes=True),
    "upkeep": Command(("upkeep", MODEL, "--until", "2026-01-01"), "scored", removes=True),
    "rename": Command(("rename", "deliveries", "parcels", *BY), "scored", removes=True, verified=False),
    "retire": Command(("retire", "deliveries", *BY), "scored", verified=False),
    "retire with data": Command(
        ("retire", "deliveries", "--delete-data", "--yes", *BY), "scored", removes=True, verified=False
    ),
    "verify": Command(("verify", MODEL, "--record", *BY), "scored"),
    "backup": Command(("backup", MODEL, "--to", "kept"), "scored"),
    "restore": Command(("restore", "kept", "--spec", "restored.yaml", "--by", "ann"), "backed up"),
    "pages": Command(("pages",), "scored"),
    "export": Command(("export", "LAST", "exported"), "two"),
    "import": Command(("import", "exported"), "exported"),
    "report": Command(("report", "deliveries", "--since", "2024-01-01"), "scored"),
}


def run_disks(folder: Path, seed: int, faults: int, only: str = "", kinds: Sequence[str] = tuple(KINDS)) -> Tally:
    """Run commands on a disk that fails, or that kills them.

    Args:
        folder: Empty folder.
        seed: Decides on the commands, the kinds of faults and their moments.
        faults: Number of faults. A command meets each kind of fault before the next one does; the seeds that follow
            go on with the commands that are left.
        only: Run this command alone; one of `COMMANDS`.
        kinds: The kinds of faults; `KILL` is one.
    """
    disk = FailingDisk(folder / "place", folder)
    return Tally.read(disk.run("campaign.disks", str(folder), str(seed), str(faults), only, *kinds))


@contextmanager
def _prefect(folder: Path) -> Iterator[None]:
    from support.prefect_server import serving

    shutil.rmtree(folder / "prefect", ignore_errors=True)
    (folder / "prefect").mkdir()
    os.environ["PREFECT_HOME"] = str(folder / "prefect")
    with serving(folder / "prefect") as url:
        os.environ["PREFECT_API_URL"] = url
        yield


def _run_faults(folder: Path, seed: int, faults: int, only: str, kinds: Sequence[str]) -> Tally:
    chance, tally, place = random.Random(seed), Tally(), Place(folder)
    known: dict[str, tuple[Left, Left, dict[str, int]]] = {}
    with _prefect(folder):
        for fault in range(faults):
            name, kind = _pair(seed * faults + fault, [only] if only else sorted(COMMANDS), sorted(kinds))
            command = COMMANDS[name]
            if name not in known:
                known[name] = _undisturbed(place, command)
            before, after, operations = known[name]
            if kind not in operations:
                operations[kind] = _count(place, command, kind)
            at = chance.randint(1, operations[kind]) if operations[kind] else 1
            lasts = chance.choice([0, 0, 1])
            where = f"seed {seed}, fault {fault}: {name} with {kind} at {at} of {operations[kind]} for {lasts}"
            place.begin_with(command.base)
            words = place.named(command.words)
            place.disk.fail(kind, at, lasts)
            code, out, err = place.run(words)
            _, failed = place.disk.end()
            if not failed:
                tally.done["commands without their fault"] += 1
                continue
            tally.done["kills" if kind == KILL else f"{kind} faults"] += 1
            if kind != KILL:
                tally.broken += [f"{where}: {wrong}" for wrong in wrong_words(code, out, err)]
            elif code != -signal.SIGKILL:
                tally.broken.append(
                    f"{where}: a process of it was killed, and it ended with {code}: {last_words(out, err)}"
                )
            left = place.left()
            wrongs = [] if command.removes else left.wrong  # what is renamed or deleted half is done by the next run
            tally.broken += [f"{where}: {wrong}" for wrong in [*wrongs, *_lost(before, left, command)]]
            if code == 0 and (missing := left.difference(after)):
                tally.broken.append(f"{where}: it said that all was well, but left {missing}")
            _try_again(place, command, code, after, where, tally)
    return tally


def _pair(number: int, commands: list[str], kinds: Sequence[str]) -> tuple[str, str]:
    """Return a command and a kind of fault: all kinds for a command, then the next command, in an order by chance."""
    turn, at = divmod(number, len(commands) * len(kinds))
    random.Random(turn).shuffle(commands)
    return commands[at // len(kinds)], kinds[at % len(kinds)]


def _try_again(place: Place, command: Command, code: int, after: Left, where: str, tally: Tally) -> None:
    """Run the command again on a disk that works: it has to end as if nothing had been."""
    words = command.words
    again, out, err = place.run(words) if "TURN" not in words or _waits(place) else (0, "", "")
    left = place.left()
    if again and code:
        tally.broken.append(f"{where}: run again, it ended with {again}: {last_words(out, err)}")
    tally.broken += [f"{where}: run again: {wrong}" for wrong in left.wrong]
    if code and (missing := left.difference(after)):
        tally.broken.append(f"{where}: run again, it left {missing}: {last_words(out, err)}")
    if command.verified:
        code, out, err = place.run(("verify", MODEL))
        if code:
            tally.broken.append(f"{where}: run again: verify ended with {code}: {last_words(out, err)}")


def _waits(place: Place) -> bool:
    return "AwaitingApproval" in place.left().turns.values()


def _undisturbed(place: Place, command: Command) -> tuple[Left, Left, dict[str, int]]:
    place.begin_with(command.base)
    before = place.left()
    place.must(*command.words)
    return before, place.left(), {}


def _count(place: Place, command: Command, kind: str) -> int:
    """Count the operations of a command that such a fault could meet."""
    place.begin_with(command.base)
    words = place.named(command.words)
    place.disk.fail(kind, 2**40)
    place.must(*words)
    return place.disk.end()[0]


def _lost(before: Left, left: Left, command: Command) -> list[str]:
    """Say what is gone after a command that deletes nothing."""
    if command.removes:
        return []
    lost = [f"{name} has {left.rows.get(name, 0)} of {rows} rows" for name, rows in before.rows.items()]
    lost = [text for text, name in zip(lost, before.rows, strict=True) if left.rows.get(name, 0) < before.rows[name]]
    if gone := before.turns.keys() - left.turns.keys():
        lost.append(f"the turns {gone} are gone")
    if left.releases[: len(before.releases)] != before.releases:
        lost.append(f"the releases were {before.releases} and are {left.releases}")
    return lost


if __name__ == "__main__":
    print(_run_faults(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5:]).written())
