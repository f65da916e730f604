"""Cut the power while commands run, and run them again on what the disk has then.

A command runs in a process with the recorder of `campaign.power`. At one of its flushes, renamings or deletions the
process dies, and its folder is replaced by the least that a disk may have then. The invariants: no table, file or model
version that ledger, registry or another table names is missing or torn, the same command ends well, and each row of the
source is in the dataset or the quarantine, exactly once. Databases and tables are read directly.
"""

import os
import random
import shutil
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote

import orjson
import pandas as pd
import pyarrow.parquet as pq
import yaml
from deltalake import DeltaTable
from support.deliveries import SPEC, deliveries, write_month
from support.prefect_server import serving
from support.processes import Said

from campaign.commands import run_command, said_by
from campaign.left_behind import Left, check_listed
from campaign.power import KINDS_OF_CUTS, Disk
from campaign.tally import Tally

_MODEL = "deliveries"
_DATABASES = (".db", ".db-wal", ".db-shm", ".db-journal")
"""SQLite flushes its files itself; at a cut they are taken as they are, with its journal."""
_COMMANDS = {
    "first turn": ["train", "deliveries.yaml", "--until", "2024-03-01"],
    "second turn": ["train", "deliveries.yaml", "--until", "2024-04-01"],
    "scoring": ["score", "deliveries.yaml", "--until", "2024-04-01"],
    "upkeep": ["upkeep", "deliveries.yaml", "--until", "2024-04-01"],
    "monitoring": ["monitor", "deliveries.yaml", "--until", "2024-04-01"],
    "labels": ["labels", "deliveries.yaml", "--until", "2024-04-01"],
    "forgetting": ["forget", "deliveries.yaml", "--key", "2024-01-01-7"],
    "decline": ["decline", "deliveries.yaml", "WAITING", "--by", "ann", "--reason", "test"],
    "approval": ["approve", "deliveries.yaml", "WAITING", "--by", "ann", "--reason", "test"],
    "export": ["export", "SETTLED", "exported"],
    "backup": ["backup", "deliveries.yaml", "--to", "kept"],
}

_ENDS_WELL = (0, 3)
"""Exit codes: all is well; rows were set aside, as those of the source with a bad value are."""


class CommandDisk(Disk):
    """A folder in which a command works: what was there before is on the disk, and a cut ends the process."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        for folder, _, files in os.walk(root):
            place = Path(folder)
            self.names[place] = self._names(place)
            for name in files:
                path = place / name
                self.contents[path.stat().st_ino] = path.read_bytes()

    def replaced(self, source: "os.PathLike[str] | str", target: "os.PathLike[str] | str") -> None:
        """Rename a file."""
        _REPLACE(source, target)
        self._pass()

    def _keep(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_relative_to(self.root) and path.exists():
            super()._keep(descriptor)

    def _pass(self) -> None:
        super()._pass()
        if self.is_cut:
            os.kill(os.getpid(), signal.SIGKILL)

    def _leave(self, folder: Path, target: Path, names: dict[str, int]) -> None:
        super()._leave(folder, target, {name: one for name, one in names.items() if not name.endswith(_DATABASES)})
        for path in folder.iterdir():
            if path.name.endswith(_DATABASES):
                shutil.copy(path, target)


_REPLACE = os.replace


def run_power_commands(folder: Path, seed: int, cuts: int, only: str | None = None) -> Tally:
    """Run commands, and cut the power in each.

    Args:
        folder: Empty folder.
        seed: Decides on the moments of the cuts and on what they leave.
        cuts: Number of cuts.
        only: The command in which the power is cut; all in turn without one.
    """
    chance, tally, root = random.Random(seed), Tally(), folder / "disk"
    with TemporaryDirectory() as server, serving(Path(server)) as url, _environment(root, url):
        starts = _prepare(root, folder, only, tally)
        for cut in range(cuts):
            name = only or list(_COMMANDS)[cut % len(_COMMANDS)]
            points = tally.done[f"moments in {name}"] or _moments(name, starts[name], root, folder, tally)
            tally.done[f"moments in {name}"] = points
            if not points:
                tally.broken.append(f"seed {seed}: {name} flushed nothing")
                continue
            at, kind = chance.randint(1, points), chance.choice(KINDS_OF_CUTS)
            _replace(root, starts[name])
            where = f"seed {seed}: {name}, cut at {at} of {points}, {kind}"
            if (
                _run(name, root, folder, at, kind) is not None
            ):  # this run had fewer moments than the one that was counted
                tally.done["commands that ended before their cut"] += 1
                continue
            tally.done["power cuts"] += 1
            _replace(root, folder / "left")
            _check_named(root, where, tally)
            _repeat(name, root, where, tally)
    return tally


def _prepare(root: Path, folder: Path, only: str | None, tally: Tally) -> dict[str, Path]:
    """Return a copy of the folder as it is before each command, or before one of them."""
    root.mkdir()
    os.chdir(root)
    (root / "deliveries.yaml").write_text(
        yaml.safe_dump(SPEC | {"upkeep": {"keep": {"dataset": "50d", "predictions": "50d"}}})
    )
    write_month(root, "winter", _with_bad_rows(deliveries("2024-01-01", 60)))
    starts = {"first turn": folder / "before-first"}
    shutil.copytree(root, starts["first turn"])
    if only in {None, "decline", "approval"}:
        starts["decline"] = starts["approval"] = _waiting(root, folder, tally)
        _replace(root, starts["first turn"])
    if only in starts:
        return starts
    _expect(said_by(_COMMANDS["first turn"]), "the first turn", tally)
    write_month(root, "spring", _with_bad_rows(deliveries("2024-03-01", 31, seed=1)))
    starts["second turn"] = starts["scoring"] = starts["export"] = folder / "before-second"
    shutil.copytree(root, starts["second turn"])
    if only in starts:
        return starts
    _expect(said_by(_COMMANDS["scoring"]), "scoring", tally)
    before = folder / "before-upkeep"
    shutil.copytree(root, before)
    starts |= dict.fromkeys(("upkeep", "monitoring", "labels", "forgetting", "backup"), before)
    return starts


def _waiting(root: Path, folder: Path, tally: Tally) -> Path:
    """Return a copy of the folder in which a challenger waits for a person."""
    spec = yaml.safe_load(Path("deliveries.yaml").read_text())
    Path("deliveries.yaml").write_text(yaml.safe_dump(spec | {"gate": {"approval": "always"}}))
    _expect(said_by(_COMMANDS["first turn"]), "a turn that waits", tally)
    return Path(shutil.copytree(root, folder / "before-decline"))


def _with_bad_rows(frame: pd.DataFrame) -> pd.DataFrame:
    distances = frame["distance"].astype(object)
    distances.iloc[::200] = "far"
    return frame.assign(distance=distances)


def _expect(said: Said, what: str, tally: Tally) -> None:
    code, out, err = said
    if code not in _ENDS_WELL or "Traceback" in err:
        tally.broken.append(f"{what} ended with {code}: {' '.join((err or out).split())[-600:]}")


@contextmanager
def _environment(root: Path, url: str) -> Iterator[None]:
    before, place = dict(os.environ), Path.cwd()
    os.environ |= {
        "EVERFIT_WORKSPACE": str(root / ".everfit"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{root / '.everfit' / 'mlflow.db'}",
        "PREFECT_API_URL": url,
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    try:
        yield
    finally:
        os.chdir(place)
        os.environ.clear()
        os.environ.update(before)


def _replace(root: Path, source: Path) -> None:
    """Put a copy in the place of the folder in which commands work."""
    os.chdir(root.parent)
    shutil.rmtree(root)
    shutil.copytree(source, root)
    os.chdir(root)


def _moments(name: str, start: Path, root: Path, folder: Path, tally: Tally) -> int:
    """Return in how many moments the power can be cut in a command."""
    _replace(root, start)
    if (said := _run(name, root, folder, -1, KINDS_OF_CUTS[0])) is not None:
        _expect(said, name, tally)
    return int((folder / "moments").read_text())


def _run(name: str, root: Path, folder: Path, at: int, kind: str) -> Said | None:
    """Run a command with a cut; return what it said, or None if the cut came."""
    left = folder / "left"
    shutil.rmtree(left, ignore_errors=True)
    return run_command(_words(name), around=partial(_recorded_flushes, root, folder, left, at, kind))


def _words(name: str) -> list[str]:
    """Return the words of a command; WAITING is a turn that waits for a person, SETTLED another, if there is one."""
    turns = _asked(Path(".everfit/ledger.db"), "SELECT id, state FROM turns")
    named = {"WAITING" if state == "AwaitingApproval" else "SETTLED": turn for turn, state in turns}
    return [named.get(word, word) for word in _COMMANDS[name]]


@contextmanager
def _recorded_flushes(root: Path, folder: Path, left: Path, at: int, kind: str) -> Iterator[None]:
    """Record what this process flushes, and cut its power."""
    disk = CommandDisk(root)
    disk.cut(left, at, kind)

    def unlink(path: Path, *, missing_ok: bool = False) -> None:
        disk.unlink(path, missing_ok=missing_ok)

    os.fsync, os.fdatasync, os.replace = disk.fsync, disk.fdatasync, disk.replaced  # type: ignore[assignment]
    Path.unlink = unlink  # type: ignore[method-assign]
    yield
    (folder / "moments").write_text(str(disk.points))


def _repeat(name: str, root: Path, where: str, tally: Tally) -> None:
    """Run the command again as people do after a power cut."""
    done = Path("exported").exists() or Path("kept/backup.json").exists()
    if not done and "WAITING" not in (words := _words(name)):  # nothing is left to do, and each folder must be new
        _expect(said_by(words), where, tally)
    _check_named(root, f"{where}, then run again", tally)
    if name in {"first turn", "second turn"}:
        _check_rows(root, where, tally)


def _check_named(root: Path, where: str, tally: Tally) -> None:
    """Whatever is named must be there, and whole."""
    workspace = root / ".everfit"
    for path in sorted(workspace.glob(f"{_MODEL}/**/*.json")):
        if "_delta_log" not in path.parts:
            try:
                orjson.loads(path.read_bytes())
            except orjson.JSONDecodeError as error:
                tally.broken.append(f"{where}: {path.relative_to(root)} is torn: {error}")
    for name in ("dataset", "quarantine", "predictions", "labels"):
        try:
            _rows(workspace / _MODEL / name)
        except Exception as error:  # noqa: BLE001 - any error means that the table is torn
            tally.broken.append(f"{where}: the table {name} is torn: {' '.join(str(error).split())[:300]}")
    listed = Left()
    for name in ("exported", "kept"):
        check_listed(root / name, listed)
    tally.broken += [f"{where}: {wrong}" for wrong in listed.wrong]
    try:
        for version, problem in _torn_versions(workspace):
            tally.broken.append(f"{where}: version {version} was recorded, and {problem}")
    except sqlite3.Error as error:
        tally.broken.append(f"{where}: a database is torn: {error}")


def _rows(table: Path) -> list[dict[str, Any]]:
    if not DeltaTable.is_deltatable(str(table)):
        return []
    return [row for file in DeltaTable(str(table)).file_uris() for row in pq.read_table(unquote(file)).to_pylist()]


def _torn_versions(workspace: Path) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with the files of versions whose digests the ledger has."""
    recorded = _asked(workspace / "ledger.db", "SELECT version, files FROM artifacts ORDER BY seq")
    for version, files in dict(recorded).items():
        place = _asked(
            workspace / "mlflow.db",
            f"SELECT storage_location, source FROM model_versions WHERE version = {int(version)}",
        )
        if not place:
            yield version, "the registry does not have it"
            continue
        folder = Path((place[0][0] or place[0][1]).removeprefix("file://"))
        for name, digest in orjson.loads(files).items():
            part, _, rest = name.partition("/")
            if part != "model":
                continue
            path = folder / rest
            if not path.is_file() or sha256(path.read_bytes()).hexdigest() not in str(digest):
                yield version, f"{rest} is {'torn' if path.is_file() else 'missing'}"


def _asked(database: Path, query: str) -> list[Any]:
    if not database.exists():
        return []
    with closing(sqlite3.connect(database)) as connection:
        table = query.partition(" FROM ")[2].split()[0]
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
            return []
        return connection.execute(query).fetchall()


def _check_rows(root: Path, where: str, tally: Tally) -> None:
    """Each row of the source must be in the dataset or the quarantine, exactly once."""
    files = sorted((root / "deliveries").glob("*.csv"))
    until = "2024-04-01" if "second" in where else "2024-03-01"
    source = pd.concat(pd.read_csv(path) for path in files)
    wanted = Counter(source.loc[source["sent_at"] < until, "id"])
    tables = root / ".everfit" / _MODEL
    there = Counter(str(row["id"]) for row in _rows(tables / "dataset"))
    there += Counter(str(orjson.loads(row["_row"])["id"]) for row in _rows(tables / "quarantine"))
    if lost := sorted(wanted.keys() - there.keys()):
        tally.broken.append(f"{where}: {len(lost)} rows are neither in dataset nor in quarantine, such as {lost[0]}")
    if doubled := sorted(name for name, count in there.items() if count > 1):
        tally.broken.append(f"{where}: {len(doubled)} rows are there twice, such as {doubled[0]}")
