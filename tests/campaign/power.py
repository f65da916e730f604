"""Cut the power while predictions are spooled and drained, and start again on what the disk has then.

A recorder keeps what was flushed: the content of each file at its last flush, and the names of each folder at its own.
A cut leaves no more than that. Before some cuts a flush fails, so that what follows must flush again. The invariant:
each prediction that was answered is in the log, exactly once. The log's files are read directly.
"""

import errno
import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow.parquet as pq
from deltalake import DeltaTable
from support.spools import KINDS, batch, drain_of

from campaign.tally import Tally
from everfit.infra.serving.spool import Spool, SpoolError
from everfit.tasks.storage.tables import Table

KINDS_OF_CUTS = ("flushed", "deletions", "names")
"""What a cut leaves: what was flushed; that, less what was deleted since; all names, with flushed contents alone."""


class Disk:
    """What was flushed of a folder, and what a power cut leaves of it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names: dict[Path, dict[str, int]] = {}
        self.contents: dict[int, bytes] = {}  # by inode, because a file keeps its content when it is renamed
        self.points, self.cut_at, self.is_cut, self.fails_at, self.failed = 0, -1, False, -1, 0
        self.target, self.kind = root, ""
        self.originals = os.fsync, os.fdatasync, Path.unlink

    def fsync(self, descriptor: int) -> None:
        """Flush a file or folder, and keep what it is."""
        self._pass()
        self._fail()
        self.originals[0](descriptor)
        self._keep(descriptor)

    def fdatasync(self, descriptor: int) -> None:
        """Flush the content of a file, and keep it."""
        self._pass()
        self._fail()
        self.originals[1](descriptor)
        self._keep(descriptor)

    def _fail(self) -> None:
        """Let this flush fail, if it is time."""
        if self.points == self.fails_at:
            self.failed += 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def _keep(self, descriptor: int) -> None:
        path, status = Path(f"/proc/self/fd/{descriptor}").readlink(), os.fstat(descriptor)
        if path.is_dir():
            self.names[path] = self._names(path)
        else:
            self.contents[status.st_ino] = path.read_bytes()

    def unlink(self, path: Path, *, missing_ok: bool = False) -> None:
        """Delete a file."""
        self.originals[2](path, missing_ok=missing_ok)
        self._pass()

    def _pass(self) -> None:
        """Cut the power here, if it is time."""
        self.points += 1
        if self.points == self.cut_at:
            self._leave(self.root, self.target, self._names(self.root))
            self.is_cut = True

    @staticmethod
    def _names(folder: Path) -> dict[str, int]:
        """Return the inodes of the entries of a folder by name."""
        return {entry.name: entry.stat(follow_symlinks=False).st_ino for entry in os.scandir(folder)}

    def cut(self, target: Path, at: int, kind: str) -> None:
        """Plan a power cut.

        Args:
            target: New folder, into which is written what the cut leaves.
            at: Number of the flush or deletion at which the power is cut.
            kind: One of `KINDS_OF_CUTS`.
        """
        self.target, self.cut_at, self.kind, self.is_cut = target, at, kind, False

    def _leave(self, folder: Path, target: Path, names: dict[str, int]) -> None:
        target.mkdir()
        for name, inode in names.items():
            path = folder / name
            if path.is_dir():
                self._leave(
                    path, target / name, self._names(path) if self.kind == "names" else self.names.get(path, {})
                )
            elif path.exists() or self.kind == "flushed":
                (target / name).write_bytes(self.contents.get(inode, b""))


@contextmanager
def _recorded(disk: Disk, *, recording: bool = True) -> Iterator[None]:
    """Record the flushes and deletions of the body, or leave them out."""

    def unlink(path: Path, *, missing_ok: bool = False) -> None:
        disk.unlink(path, missing_ok=missing_ok)

    before = os.fsync, os.fdatasync, Path.unlink
    recorded = disk.fsync, disk.fdatasync, unlink
    os.fsync, os.fdatasync, Path.unlink = recorded if recording else disk.originals  # type: ignore[method-assign]
    try:
        yield
    finally:
        os.fsync, os.fdatasync, Path.unlink = before  # type: ignore[method-assign]


def run_power(folder: Path, seed: int, cuts: int) -> Tally:
    """Spool and drain, and cut the power a number of times.

    Args:
        folder: Empty folder.
        seed: Decides on the steps and the moments of the cuts.
        cuts: Number of cuts.
    """
    chance, tally, root = random.Random(seed), Tally(), folder / "disk"
    root.mkdir()
    disk, answered, made = Disk(root), list[str](), 0
    with _recorded(disk):
        spool = Spool.claim(root / "spool", segment_bytes=2_000)
        drain = drain_of(spool, Table(str(root / "model" / "predictions")))
        for cut in range(cuts):
            disk.cut(folder / f"left-{cut}", disk.points + chance.randint(1, 15), chance.choice(KINDS_OF_CUTS))
            disk.fails_at = disk.points + chance.randint(1, disk.cut_at - disk.points) if chance.random() < 0.5 else -1
            known = len(answered)
            while not disk.is_cut:
                known = len(answered)
                if chance.random() < 0.5:
                    rows = batch(made, chance.randint(1, 20))
                    made += len(rows["x"])
                    with suppress(SpoolError):  # of a failed flush: the predictions are refused
                        spool.append(KINDS, rows)
                        answered += rows["_prediction_id"]
                else:
                    drain.drain()
            tally.done["power cuts"] += 1
            with _recorded(disk, recording=False):
                _restart(disk.target, answered[:known], f"seed {seed}, cut {cut} at flush {disk.cut_at}", tally)
            shutil.rmtree(disk.target)
        spool.close()
    tally.done["failed flushes"] += disk.failed
    return tally


def _restart(left: Path, answered: list[str], where: str, tally: Tally) -> None:
    """Start a service's spool and drain on what is left, and compare the log with the answers."""
    try:
        (left / "spool").mkdir(exist_ok=True)
        spool = Spool.claim(left / "spool", sync=False)
        drain = drain_of(spool, Table(str(left / "model" / "predictions")))
        for _ in range(3):
            drain.drain()
        spool.close()
        if drain.state.error:
            tally.broken.append(f"{where}: what is left can't be drained: {drain.state.error}")
            return
        files = DeltaTable(str(left / "model" / "predictions")).file_uris() if answered else []
        logged = Counter(one for file in files for one in pq.read_table(file)["_prediction_id"].to_pylist())
    except Exception as error:  # noqa: BLE001 - any error means that what is left is torn
        tally.broken.append(f"{where}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
        return
    if lost := set(answered) - logged.keys():
        tally.broken.append(f"{where}: {len(lost)} of {len(answered)} answered predictions are lost")
    if doubled := [name for name, count in logged.items() if count > 1]:
        tally.broken.append(f"{where}: {len(doubled)} predictions are in the log twice")
