"""What commands have left in ledger, registry and tables, read directly and not by everfit's own code."""

import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from deltalake import DeltaTable

_IDENTITY = {"predictions": "_prediction_id"}
"""Which column is different in each row of a table; `id` in all others that have a row per key."""


@dataclass
class Left:
    """A workspace with its ledger and registry.

    Attributes:
        turns: State of each turn, by its id.
        releases: Version, kind and state of each release.
        champions: Version of the alias, by model.
        versions: The registered versions.
        rows: Number of rows of each table.
        running: Number of runs that MLflow shows as running.
        wrong: A sentence for each thing that does not fit.
    """

    turns: dict[str, str] = field(default_factory=dict)
    releases: list[tuple[Any, ...]] = field(default_factory=list)
    champions: dict[str, int] = field(default_factory=dict)
    versions: list[tuple[Any, ...]] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    running: int = 0
    wrong: list[str] = field(default_factory=list)

    def difference(self, other: "Left") -> str:
        """Say what is different in another workspace; empty if nothing is."""
        parts = []
        for name in ("turns", "releases", "champions", "versions", "rows", "running"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine != theirs:
                parts.append(f"{name} {mine} instead of {theirs}")
        return "; ".join(parts)


def left_behind(workspace: Path) -> Left:
    """Read a workspace whose ledger and registry are SQLite files in it."""
    left = Left()
    for name, read in (("ledger.db", read_ledger), ("mlflow.db", read_registry)):
        if (workspace / name).exists():
            with closing(sqlite3.connect(workspace / name)) as database:
                _check(database, name, left)
                read(database, left)
    for log in sorted(workspace.rglob("_delta_log")):
        _read_table(log.parent, str(log.parent.relative_to(workspace)), left)
    settled = {row[0]: row[1] for row in left.releases if row[3] == "verified"}
    open_ones = {row[0] for row in left.releases if row[3] in {"intent", "alias_set"}}
    registered = {name for name, _ in left.versions}  # a retired model's versions may be deleted
    for model in (settled.keys() | left.champions.keys()) & registered:
        if model not in open_ones and settled.get(model) != left.champions.get(model):
            left.wrong.append(
                f"the ledger's champion of {model} is {settled.get(model)}, the alias {left.champions.get(model)}"
            )
    return left


def check_listed(folder: Path, left: Left) -> None:
    """Compare the files of an export or a backup, if it is finished, with the digests that it lists."""
    for name in ("digests.json", "backup.json"):
        if not (folder / name).exists():
            continue
        try:
            content = json.loads((folder / name).read_text())
        except ValueError as error:
            left.wrong.append(f"{name} of {folder.name} is torn: {error}")
            continue
        entries = content.get("files", content).items()
        listed = {file: one if isinstance(one, str) else one["sha256"] for file, one in entries}
        there = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
        digests = {file: sha256(path.read_bytes()).hexdigest() for file, path in there.items() if file != name}
        if torn := sorted(file for file in listed.keys() | digests.keys() if digests.get(file) != listed.get(file)):
            left.wrong.append(f"{len(torn)} files of {folder.name} are not as it lists them, such as {torn[0]}")
        left.rows[f"files of {folder.name}"] = len(digests)


def read_ledger(ledger: Any, left: Left, where: str = "") -> None:
    """Read turns and releases.

    Args:
        ledger: A connection to the database, of SQLite or PostgreSQL.
        left: What it is added to.
        where: Which rows, as a clause of SQL.
    """
    if isinstance(ledger, sqlite3.Connection) and not _tables(ledger) >= {"turns", "releases"}:
        return
    left.turns = dict(iter(ledger.execute(f"SELECT id, state FROM turns {where} ORDER BY id")))
    query = f"SELECT model, version, kind, state FROM releases {where} ORDER BY seq"
    left.releases = [tuple(row) for row in ledger.execute(query)]


def read_registry(registry: sqlite3.Connection, left: Left, where: str = "WHERE true") -> None:
    """Read versions and champion aliases of MLflow's database, as `read_ledger` does."""
    if "model_versions" in _tables(registry):
        query = f"SELECT name, version FROM model_versions {where} ORDER BY name, version"
        left.versions = list(registry.execute(query))
        query = f"SELECT name, version FROM registered_model_aliases {where} AND alias = 'champion'"
        left.champions = {name: int(version) for name, version in registry.execute(query)}
        (left.running,) = registry.execute("SELECT count(*) FROM runs WHERE status = 'RUNNING'").fetchone()


def _check(database: sqlite3.Connection, name: str, left: Left) -> None:
    (said,) = database.execute("PRAGMA integrity_check").fetchone()
    if said != "ok":
        left.wrong.append(f"{name} is damaged: {said}")


def _tables(database: sqlite3.Connection) -> set[str]:
    return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _read_table(path: Path, name: str, left: Left) -> None:
    if not any((path / "_delta_log").glob("*.json")) and not any((path / "_delta_log").glob("*.parquet")):
        return
    try:
        files = DeltaTable(str(path)).file_uris()
        parts = [pq.read_table(file) for file in files]
    except Exception as error:  # noqa: BLE001 - any error means that the table is torn
        left.wrong.append(f"table {name} can't be read: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
        return
    left.rows[name] = sum(part.num_rows for part in parts)
    identity = _IDENTITY.get(path.name, "_key" if path.name == "dataset" else "")
    counts = Counter(one for part in parts if identity in part.column_names for one in part[identity].to_pylist())
    if doubled := sum(count > 1 for count in counts.values()):
        left.wrong.append(f"{doubled} rows of {name} are there twice")
