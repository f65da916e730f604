"""Find the files of the embedded MLflow again after its folder was moved or copied.

MLflow keeps the address of each file from the root of the disk. The files of the embedded database are in the folder
`mlflow-artifacts` of the state folder, so their addresses follow from where that is now.
"""

import sqlite3
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

ARTIFACTS = "mlflow-artifacts"

_ADDRESSES = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}
"""The columns of MLflow's tables that have an address of files."""


@lru_cache
def follow_moved_folder(database: Path, state_dir: Path) -> None:
    """Write the present addresses into MLflow's database if the folder of its files was moved or copied.

    Only addresses whose files are in the state folder are changed. Where the database is another folder's, files that
    are still at their old address stay there.

    Args:
        database: SQLite file of MLflow; one that doesn't exist yet is left alone.
        state_dir: Folder that has the artifacts of the embedded MLflow.
    """
    if not database.is_file():
        return
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "experiments" not in tables:
            return
        moved = _moved(connection, database, state_dir)
        if not moved:
            return
        with connection:
            for table in _ADDRESSES.keys() & tables:
                present = {column[1] for column in connection.execute(f'PRAGMA table_info("{table}")')}
                for column in _ADDRESSES[table]:
                    if column in present:
                        for before, now in moved.items():
                            connection.execute(
                                f'UPDATE "{table}" SET "{column}" = ? || substr("{column}", ?) '  # noqa: S608 - constants
                                f'WHERE "{column}" = ? OR substr("{column}", 1, ?) = ?',
                                (now, len(before) + 1, before, len(before) + 1, f"{before}/"),
                            )


def _moved(connection: sqlite3.Connection, database: Path, state_dir: Path) -> dict[str, str]:
    """Return the address of each experiment's files before the folder was moved, with the address now."""
    own = database.parent.resolve() == state_dir.resolve()
    moved = {}
    for (before,) in connection.execute("SELECT artifact_location FROM experiments"):
        now = state_dir / ARTIFACTS / _folder(before or "")  # not by the experiment's name: a model may be renamed
        if before is None or f"/{ARTIFACTS}/" not in before or before == now.as_uri() or not now.is_dir():
            continue
        if own or not _exists(before):
            moved[before] = now.as_uri()
    return moved


def _folder(address: str) -> str:
    return Path(unquote(address.removeprefix("file://"))).name


def _exists(address: str) -> bool:
    return Path(unquote(address.removeprefix("file://"))).exists()
