"""Kill processes that release, roll back and reconcile, at any operation of the ledger and the registry.

The invariants: the ledger's releases and the champion alias agree after the next reconciling, there is always a
champion, the history only grows, and a rollback that is repeated after its kill finishes what it had begun. Both
databases are read directly.
"""

import gc
import os
import random
import shutil
import signal
import sqlite3
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from support.prepared import copy_empty_mlflow

from campaign.tally import Tally
from everfit.blocks.errors import EverfitError
from everfit.tasks.ledger import Ledger, Release
from everfit.tasks.release.release import reconcile, release, rollback

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MODEL = "model"
_TRACED = tuple(
    f"{os.sep}{name}"
    for name in (
        "tasks/release/release.py",
        "tasks/release/release_protocol.py",
        "tasks/registry/model_registry.py",
        "tasks/ledger/releases.py",
        "tasks/ledger/leases.py",
        "tasks/ledger/store.py",
        "mlflow/store/model_registry/sqlalchemy_store.py",
    )
)
_REFUSED = 3
"""Exit code of a command that was refused with an error of everfit."""


def run_releases(folder: Path, seed: int, lives: int) -> Tally:
    """Run a number of commands one after the other, most of which are killed, and compare what they leave.

    Args:
        folder: Empty folder.
        seed: Decides on the commands and the places of the kills.
        lives: Number of commands.
    """
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    chance, tally = random.Random(seed), Tally()
    registry = _make_registry(folder)
    _in_child(registry, folder, _first, None)
    for life in range(lives):
        where = f"seed {seed}, life {life}"
        name = chance.choice(["release", "rollback", "rollback", "reconcile", "moved alias"])
        act = _COMMANDS[name](chance)
        before = _releases(folder)
        place = chance.randrange(700) if chance.random() < 0.85 else None
        code = _in_child(registry, folder, act, place)
        tally.done["kills" if code == -signal.SIGKILL else f"{name} ended"] += 1
        _check_now(folder, before, where, tally)
        if code not in {0, _REFUSED, -signal.SIGKILL}:
            tally.broken.append(f"{where}: {name} ended with {code}: {(folder / 'log').read_text()[-300:]}")
        if code == -signal.SIGKILL and name == "rollback":
            _repeat(registry, folder, act, before, where, tally)
        if chance.random() < 0.8:
            if _in_child(registry, folder, _reconcile, None) != 0:
                tally.broken.append(f"{where}: the reconciling failed: {(folder / 'log').read_text()[-300:]}")
            _check_settled(folder, where, tally)
    return tally


def _repeat(registry: str, folder: Path, act: "_Act", before: list[Any], where: str, tally: Tally) -> None:
    """Run a rollback that was killed again: it must end well if it had recorded its intent."""
    begun = _rollbacks(folder, before)
    code = _in_child(registry, folder, act, None)
    tally.done["rollbacks run again"] += 1
    if begun and code != 0:
        tally.broken.append(f"{where}: a rollback that was run again ended with {code} after it had begun {begun}")
    if len(_rollbacks(folder, before)) > 1:
        tally.broken.append(f"{where}: a rollback that was run again was made twice: {_releases(folder)}")


def _rollbacks(folder: Path, before: list[Any]) -> list[Any]:
    return [row for row in _releases(folder) if row[0] > len(before) and row[3] == "rollback"]


_Act = Callable[[Ledger, "MlflowClient"], object]


def _first(ledger: Ledger, client: "MlflowClient") -> object:
    release(ledger, client, _MODEL, 1, expected_previous=None, reason="first", actor="gate")
    return release(ledger, client, _MODEL, 2, expected_previous=1, reason="better", actor="gate")


def _releasing(chance: random.Random) -> _Act:
    version = chance.randint(1, 3)

    def act(ledger: Ledger, client: "MlflowClient") -> Release:
        current = ledger.releases.current(_MODEL)
        expected = current.seq if current else None
        return release(ledger, client, _MODEL, version, expected_previous=expected, reason="better", actor="gate")

    return act


def _rolling_back(_: random.Random) -> _Act:
    def act(ledger: Ledger, client: "MlflowClient") -> None:
        with ledger.leases.hold(_MODEL, scope="rollback") as until_answered:  # as the command does
            rollback(ledger, client, _MODEL, reason="complaints", actor="ann", killed=until_answered.died)
            sys.settrace(None)  # now the person has the answer

    return act


def _moving(chance: random.Random) -> _Act:
    version = str(chance.randint(1, 3))
    return lambda _, client: client.set_registered_model_alias(_MODEL, "champion", version)


def _reconcile(ledger: Ledger, client: "MlflowClient") -> object:
    return reconcile(ledger, client, _MODEL)


_COMMANDS: dict[str, Callable[[random.Random], _Act]] = {
    "release": _releasing,
    "rollback": _rolling_back,
    "reconcile": lambda _: _reconcile,
    "moved alias": _moving,
}


def _in_child(registry: str, folder: Path, act: _Act, kill_at: int | None) -> int:
    """Run a command in a child process that is killed before its n-th line; return its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 1
        gc.disable()
        try:
            from mlflow import MlflowClient

            ledger, client = Ledger.open(f"sqlite:///{folder / 'ledger.db'}"), MlflowClient(tracking_uri=registry)
            client.get_registered_model(_MODEL)  # the registry's own start is no subject
            _trace(kill_at)
            act(ledger, client)
            code = 0
        except EverfitError:
            sys.settrace(None)
            (folder / "log").write_text(traceback.format_exc())
            code = _REFUSED
        except BaseException:  # noqa: BLE001 - the parent reports it
            sys.settrace(None)
            (folder / "log").write_text(traceback.format_exc())
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _trace(kill_at: int | None) -> None:
    if kill_at is None:
        return
    left = [kill_at]

    def on_line(_frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return on_line

    def on_call(frame: FrameType, _event: str, _: object) -> Any:
        return on_line if frame.f_code.co_filename.endswith(_TRACED) else None

    sys.settrace(on_call)


def _releases(folder: Path) -> list[Any]:
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        query = "SELECT seq, version, state, kind FROM releases WHERE model = ? ORDER BY seq"
        return connection.execute(query, (_MODEL,)).fetchall()


def _champion(folder: Path) -> int | None:
    with closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        query = "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = 'champion'"
        row = connection.execute(query, (_MODEL,)).fetchone()
        return None if row is None else int(row[0])


def _check_now(folder: Path, before: list[Any], where: str, tally: Tally) -> None:
    """Check what holds at any time, also right after a kill."""
    releases, champion = _releases(folder), _champion(folder)
    if champion not in {1, 2, 3}:
        tally.broken.append(f"{where}: the champion is {champion!r}")
    if [row[0] for row in releases] != list(range(1, len(releases) + 1)):
        tally.broken.append(f"{where}: the releases are numbered {[row[0] for row in releases]}")
    if sum(row[2] == "intent" for row in releases) > 1:
        tally.broken.append(f"{where}: two releases are under way: {releases}")
    if [row[:2] for row in releases[: len(before)]] != [row[:2] for row in before]:
        tally.broken.append(f"{where}: the history was {before} and is {releases}")


def _check_settled(folder: Path, where: str, tally: Tally) -> None:
    """Check what holds after a reconciling."""
    releases, champion = _releases(folder), _champion(folder)
    standing = [row for row in releases if row[2] == "verified"]
    if unsettled := [row for row in releases if row[2] not in {"verified", "undone"}]:
        tally.broken.append(f"{where}: releases are unfinished after a reconciling: {unsettled}")
    elif not standing or standing[-1][1] != champion:
        tally.broken.append(f"{where}: the champion is {champion!r}, and the ledger has {releases[-3:]}")


def _make_registry(folder: Path) -> str:
    """Make an MLflow with three versions of a small model in an empty folder; return its address."""
    import mlflow
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    rows = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})
    pipeline = make_pipeline(LogisticRegression()).fit(rows, np.array([0, 0, 1, 1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.sklearn.save_model(
            pipeline,
            folder / "store",
            serialization_format="skops",
            input_example=rows,
            pip_requirements=["scikit-learn"],
        )
    copy_empty_mlflow(folder / "mlflow.db")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = mlflow.MlflowClient(tracking_uri=uri)
    client.create_registered_model(_MODEL)
    for _ in range(3):
        client.create_model_version(_MODEL, (folder / "store").as_uri())
    shutil.rmtree(folder / "mlruns", ignore_errors=True)
    return uri
