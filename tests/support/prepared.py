"""Folders that take long to prepare, kept between runs and shared by the processes of one."""

import fcntl
import functools
import hashlib
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "build" / "tests"
SOURCES = ("blocks", "tasks", "flows", "deployments", "infra", "tests/support", "tests/flows/conftest.py")


def prepared(name: str, make: Callable[[Path], object], *ingredients: object) -> Path:
    """Return the folder that `make` has filled, now or earlier.

    Args:
        name: Names the folder.
        make: Fills the folder that it is given. It stays where it is, since what it holds may name itself.
        *ingredients: All that the content depends on.
    """
    recipe = hashlib.sha256(repr((sys.version, ROOT, *ingredients)).encode()).hexdigest()[:16]
    folder = KEPT / name / recipe
    complete = folder.with_suffix(".complete")
    with locked(name):
        if not complete.exists():
            for earlier in (KEPT / name).glob("*"):
                _remove(earlier)
            folder.mkdir(parents=True)
            make(folder)
            complete.touch()
    return folder


def copy_empty_mlflow(database: Path) -> None:
    """Make an empty MLflow's database, as a copy of one: MLflow takes seconds to make its tables."""
    import mlflow

    def make(folder: Path) -> None:
        mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}").search_experiments()

    shutil.copy(prepared("mlflow", make, mlflow.__version__) / "mlflow.db", database)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Let one process in at a time."""
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@functools.cache
def sources() -> str:
    """Return a digest of the code, its dependencies and the day, since some of what is made depends on its age."""
    digest = hashlib.sha256(f"{datetime.now(UTC):%Y-%m-%d}".encode())
    paths = [ROOT / "constraints.txt"]
    for place in SOURCES:
        paths += sorted((ROOT / place).rglob("*.py")) if (ROOT / place).is_dir() else [ROOT / place]
    for path in paths:
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def digest_of(*paths: Path) -> str:
    """Return a digest of files, and of all files in folders but bytecode."""
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def copied(folder: Path, to: Path) -> Path:
    """Copy a prepared folder whose workspace has an MLflow, and return the copy."""
    shutil.copytree(folder, to)
    relocate(to / ".everfit" / "mlflow.db", folder, to)
    return to


@contextmanager
def working_in(folder: Path, empty_mlflow: Path | None = None) -> Iterator[None]:
    """Work in a folder, on the workspace and the MLflow in it; with an empty MLflow these are made first."""
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        workspace = folder / ".everfit"
        if empty_mlflow is not None:
            workspace.mkdir()
            shutil.copy(empty_mlflow, workspace / "mlflow.db")
        patched.setenv("EVERFIT_WORKSPACE", str(workspace))
        patched.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workspace / 'mlflow.db'}")
        yield


def relocate(database: Path, before: Path, now: Path) -> None:
    """Replace a folder's path in all texts of a SQLite database, after the folder was copied."""
    with closing(sqlite3.connect(database)) as connection, connection:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            columns = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
            for name in [column[1] for column in columns if "CHAR" in column[2].upper() or column[2].upper() == "TEXT"]:
                connection.execute(
                    f'UPDATE "{table}" SET "{name}" = replace("{name}", ?, ?) WHERE instr("{name}", ?) > 0',
                    (str(before), str(now), str(before)),
                )


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
